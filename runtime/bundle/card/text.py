"""The whole text of a card, and whether somebody has edited it since it was written."""

import hashlib
import re

from amused_edge.runtime.bundle.card.front_matter import UNKNOWN, base_models, front_matter, hub_id
from amused_edge.runtime.bundle.card.markdown import code, paragraph, plain
from amused_edge.runtime.bundle.card.measured import facts, fidelity, sizes
from amused_edge.runtime.bundle.card.usage import GUIDES, REPOSITORY, usage
from amused_edge.runtime.bundle.manifest import TARGETS, Manifest

CARD_NAME = "README.md"
"""As the hub calls it. The manifest does not list it, so that people may edit it."""

_PAPER = "https://arxiv.org/abs/2401.01808"
_MARK = "<!-- written by amused-edge; SHA-256 of the above: {} -->"
_MARKED = re.compile(re.escape(_MARK).replace(r"\{\}", "([0-9a-f]{64})"))


def card_text(manifest: Manifest, place: str | None = None) -> str:
    """Return the model card of a bundle: the same text for the same manifest, wherever it is made.

    Parameters
    ----------
    place
        Its id on the hub, for the listings; None where it has none yet.
    """
    sections = (
        front_matter(manifest),
        [f"# {_title(manifest)}"],
        _summary(manifest),
        facts(manifest),
        _licence(manifest),
        sizes(manifest),
        fidelity(manifest),
        usage(manifest, place),
        _limits(manifest),
    )
    text = "\n\n".join("\n".join(lines) for lines in sections) + "\n\n"
    return f"{text}{_MARK.format(_sha256(text))}\n"


def card_bytes(manifest: Manifest, place: str | None = None) -> bytes:
    """Return `card_text` as the file holds it: UTF-8, its lines ended by LF on every system."""
    return card_text(manifest, place).encode("utf-8", "backslashreplace")


def root_card_bytes(manifest: Manifest, repository: str) -> bytes:
    """Return the card at the top of a repository that holds bundles in folders, the first of which has this manifest.

    It names none of them, so that it stays true when others come.
    """
    said = (
        f"Bundles of [amused-edge]({REPOSITORY}), each in a folder of its own, whose README.md says what it is. "
        f"`{repository}/FOLDER` opens one; nothing of the others is downloaded."
    )
    lines = [*front_matter(manifest), "", f"# {plain(repository)}", "", *paragraph(said), "", "```python"]
    lines += ["from amused_edge import AmusedPipeline", ""]
    lines += [f'pipeline = AmusedPipeline.from_bundle("{repository}/FOLDER")', "```", "", ""]
    text = "\n".join(lines)
    return f"{text}{_MARK.format(_sha256(text))}\n".encode("utf-8", "backslashreplace")


def is_untouched(text: str) -> bool:
    """Return whether a card is as a version of amused-edge wrote it, so that no work of a person is in it."""
    text = text.replace("\r\n", "\n")
    above, newline, mark = text.rstrip("\n").rpartition("\n")
    found = _MARKED.fullmatch(mark)
    return found is not None and found[1] == _sha256(above + newline)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _title(manifest: Manifest) -> str:
    recipe = manifest.quantization and manifest.quantization.recipe.get("name")
    target = TARGETS.get(manifest.target, plain(manifest.target))
    return f"{plain(manifest.model.name)}{f', {plain(str(recipe))}' if recipe else ''}, for {target}"


def _summary(manifest: Manifest) -> list[str]:
    tuned, source = manifest.fine_tuning, manifest.model.source
    origin = f"[{plain(source)}](https://huggingface.co/{source})" if hub_id(source) else f"a folder {code(source)}"
    said = (
        f"An [aMUSEd]({_PAPER}) model, which draws a picture from a text by filling in masked tokens over a few steps, "
        f"as a bundle of [amused-edge]({REPOSITORY}): graphs, tokenizer and settings for small machines. Its weights "
        f"are those of {origin}."
    )
    if tuned is not None and tuned.transformer is not None:
        said += f" The U-ViT is a fine-tuned one, {code(tuned.transformer.name)}."
    lines = paragraph(said)
    if tuned is not None and tuned.loras:
        lines += ["", "LoRAs were added to the weights:", "", *(f"- {plain(lora.described)}" for lora in tuned.loras)]
    return lines


def _licence(manifest: Manifest) -> list[str]:
    licence = manifest.model.license
    if licence == UNKNOWN:
        said = (
            "The checkpoint does not say under which licence its weights are. Ask whoever made it before you pass this "
            "bundle on."
        )
    else:
        said = f"Of the weights, as the checkpoint's card says: {code(licence)}. It holds for this bundle too."
    if manifest.fine_tuning is not None:
        said += " Licences of fine-tunes are not recorded: ask whoever made them."
    return ["## Licence", "", *paragraph(said)]


def _limits(manifest: Manifest) -> list[str]:
    geometry, bases = manifest.geometry, base_models(manifest)
    points = [
        "What the model draws well or badly, and whom it may wrong, its training decided; a conversion changes none of "
        f"it{f': see the card of {code(bases[0])}' if bases else ''}.",
        f"Pictures have {geometry.image_width} x {geometry.image_height} pixels, prompts at most "
        f"{geometry.text_length} tokens, begin and end among them.",
        "The same seed gives the same picture on one engine. Others, and other versions, add in another order, and a "
        "few tokens may differ.",
    ]
    if manifest.quantization is not None:
        points.append("Rounded weights cost fidelity. What the figures above mean for your prompts, you see best.")
    if manifest.simulated is not None:
        points.append("The figures above are simulated: no device has confirmed them.")
    points.append(f"Hashes in `manifest.json` show damage, not who made the files ([format]({GUIDES}/bundle.md)).")
    return ["## Limits", "", *(line for point in points for line in paragraph(f"- {point}", "  "))]
