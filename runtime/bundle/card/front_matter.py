"""The card's head: what the hub reads of a model, in YAML."""

import re
from collections.abc import Iterator

from amused_edge.runtime.bundle.card.markdown import yaml_text
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.hub.address import parse_address

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")
"""Of licences, on the hub; it refuses others, which are "other" there with a name of their own."""

UNKNOWN = "unknown"
"""What a manifest says of a licence that its checkpoint does not name; the hub has it among its identifiers."""


def front_matter(manifest: Manifest) -> list[str]:
    """Return the lines of a card's head, with the marks around it."""
    lines = ["---", *_licence(manifest.model.license)]
    bases = base_models(manifest)
    if bases:
        lines += _values("base_model", bases)
        relation = _relation(manifest, bases)
        lines += [f"base_model_relation: {relation}"] if relation else []
    lines += ["library_name: amused-edge", "pipeline_tag: text-to-image", *_values("tags", list(_tags(manifest)))]
    return [*lines, "---"]


def hub_id(name: str) -> str | None:
    """Return the repository that a name in a manifest stands for; None for a folder's or a file's name."""
    found = parse_address(name) if "/" in name and ":" not in name else None
    return found.repository if found is not None and not found.folder else None


def base_models(manifest: Manifest) -> list[str]:
    """Return the models of the hub that the weights come from: the checkpoint, and LoRAs that were added to it."""
    tuned = manifest.fine_tuning
    names = [manifest.model.source, *(lora.name for lora in (tuned.loras if tuned else ()))]
    found = [hub_id(name) for name in names]
    return list(dict.fromkeys(name for name in found if name)) if found[0] else []


def _relation(manifest: Manifest, bases: list[str]) -> str | None:
    """Return what the hub calls the way from the base model to this one; None where none of its words is true.

    A fine-tune stays one when it is quantized: whoever looks for the plain model in 8 bits must not find it. A
    conversion in float32 is neither.
    """
    if manifest.fine_tuning is not None:
        return "merge" if len(bases) > 1 else "finetune"
    return "quantized" if manifest.quantization is not None else None


def _licence(licence: str) -> list[str]:
    if _IDENTIFIER.fullmatch(licence):
        return [f"license: {yaml_text(licence)}"]
    return ["license: other", f"license_name: {yaml_text(licence)}"]


def _tags(manifest: Manifest) -> Iterator[str]:
    yield from ("amused", "masked-image-modeling", "on-device", manifest.target)
    if manifest.fine_tuning is not None and manifest.fine_tuning.loras:
        yield "lora"
    if manifest.quantization is not None:
        yield str(manifest.quantization.recipe.get("name"))


def _values(name: str, values: list[str]) -> list[str]:
    if len(values) == 1:
        return [f"{name}: {yaml_text(values[0])}"]
    return [f"{name}:", *(f"- {yaml_text(value)}" for value in values)]
