"""Checkpoints on the Hugging Face hub: what names one, and which of its files are fetched."""

from dataclasses import dataclass
from pathlib import Path

from amused_edge.export.checkpoint.weight_files import COMPONENTS
from amused_edge.export.errors import AS_SAFETENSORS, CheckpointError
from amused_edge.runtime.hub.address import HubAddress, is_web_address, parse_address
from amused_edge.runtime.hub.refusals import reason

_CONFIGS = ("model_index.json", "generation_config.json", "README.md", "*/*.json", "tokenizer/*")


@dataclass(frozen=True)
class HubModel:
    """A model of the hub.

    Attributes
    ----------
    name
        "owner/name".
    revision
        A branch, tag or commit; None is the main branch.
    """

    name: str
    revision: str | None = None


def hub_model(source: str) -> HubModel | None:
    """Return the model that an id ("owner/name", "owner/name@revision") or a web address means; None for a path.

    Raises
    ------
    CheckpointError
        A web address of something else.
    """
    found = parse_address(source, CheckpointError)
    if found is None or (found.folder and not is_web_address(source)):
        return None
    return HubModel(found.repository, found.revision)


def download(model: HubModel, variant: str | None) -> Path:
    """Fetch configs, tokenizer and safetensors into the hub's cache, and return the folder.

    With `variant`, parts of the model that have no such files come as their plain ones, unless none has any.

    Raises
    ------
    CheckpointError
        The hub does not give it, or has no safetensors of this kind.
    """
    weights = f"*.{variant}*.safetensors" if variant else "*.safetensors"
    ignored = () if variant else ("*.fp16*",)
    folder = _fetch(model, (*_CONFIGS, f"*/{weights}"), ignored)
    lacking = _lacking(folder, variant)
    if variant and 0 < len(lacking) < len(COMPONENTS):
        fetched = HubModel(model.name, revision=folder.name)
        folder = _fetch(fetched, tuple(f"{part}/*.safetensors" for part in lacking), ())
        lacking = _lacking(folder, variant)
    if lacking:
        _advise(model, lacking, variant)
    return folder


def download_lora(model: HubModel, names: tuple[str, ...]) -> Path:
    """Fetch the files of a LoRA, those of these names that there are, into the hub's cache, and return the folder.

    Raises
    ------
    CheckpointError
        The hub does not give it.
    """
    return _fetch(model, names, ())


def _fetch(model: HubModel, allowed: tuple[str, ...], ignored: tuple[str, ...]) -> Path:
    import huggingface_hub

    revision = {"revision": model.revision} if model.revision else {}
    try:
        return Path(
            huggingface_hub.snapshot_download(
                model.name, allow_patterns=list(allowed), ignore_patterns=list(ignored), **revision
            )
        )
    except Exception as error:  # network, permissions, unknown id: the library has many
        raise CheckpointError(
            f"{model.name} is neither a folder nor could it be downloaded from the hub: {_reason(error, model)}"
        ) from error


def _lacking(folder: Path, variant: str | None) -> list[str]:
    """Return the parts without safetensors; files of a variant count only where it was asked for."""
    found = {
        path.parent.name for path in folder.glob("*/*.safetensors") if variant is not None or ".fp16" not in path.name
    }
    return [part for part in sorted(COMPONENTS) if part not in found]


def _advise(model: HubModel, lacking: list[str], variant: str | None) -> None:
    """Raise what the hub has instead of the safetensors that are lacking, if it can be asked."""
    import huggingface_hub

    try:
        files = huggingface_hub.list_repo_files(model.name, revision=model.revision)
    except Exception:  # offline: reading the folder names what is missing
        return
    present = {part: [name for name in files if name.startswith(f"{part}/")] for part in lacking}
    for part, names in present.items():
        if not variant and any(name.endswith(".safetensors") and ".fp16" in name for name in names):
            raise CheckpointError(f"{model.name} has its {part} in half precision only; add --variant fp16")
        if variant and any(name.endswith(".safetensors") for name in names):
            raise CheckpointError(f"{model.name} has no {variant} files; leave --variant out")
    for part, names in present.items():
        pickles = sorted(Path(name).name for name in names if name.endswith(".bin"))
        if pickles:
            raise CheckpointError(
                f"{model.name} holds only pickled weights ({part}/{pickles[0]}), which can run code when loaded; "
                f"{AS_SAFETENSORS.replace('PATH', repr(model.name))}"
            )


def _reason(error: Exception, model: HubModel) -> str:
    return reason(error, HubAddress(model.name, revision=model.revision))
