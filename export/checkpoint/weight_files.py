"""Which files of a component's folder hold its weights: those that the library which wrote it would load.

Folders gather files: shards beside an older single file, half-precision variants beside full ones, pickles beside
safetensors. Where another choice than the library's would be silent, none is made.
"""

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amused_edge.export.errors import AS_SAFETENSORS, CheckpointError
from amused_edge.runtime.errors import AmusedEdgeWarning, quoted

Library = Literal["diffusers", "transformers"]

_STEMS: dict[Library, str] = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}

COMPONENTS: dict[str, Library] = {"transformer": "diffusers", "vqvae": "diffusers", "text_encoder": "transformers"}
"""Folder of a checkpoint -> the library that loads it."""

HALVES = "fp16"
"""The variant that is taken, unasked, where a folder has no full weights."""


_NO_WEIGHTS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file; run `git lfs pull` in its folder",
    b"<": "a web page in place of the file; download it again, logged in where that is needed",
}
"""How files begin that stand where weights should."""


@dataclass(frozen=True)
class WeightFiles:
    """One file, or shards in the order in which they are read.

    Attributes
    ----------
    variant
        The variant they are of; None: the full weights.
    """

    files: tuple[Path, ...]
    variant: str | None


def find_weight_files(folder: Path, library: Library, variant: str | None = None) -> WeightFiles:
    """Choose the files of a component.

    Parameters
    ----------
    variant
        For example "fp16". A component that has none is read in full, as the reference does; None takes the full
        weights, and falls back to fp16.

    Raises
    ------
    CheckpointError
        No safetensors; weights that are wanted first are pickled; or an index that is damaged or leaves the folder.
    """
    wanted = (variant, None) if variant else (None, HALVES)
    found = {kind: _first_file(folder, library, kind) for kind in wanted}
    pickles = _pickles(folder, variant or HALVES)
    for kind in wanted:
        file = found[kind]
        if file is not None:
            return WeightFiles(_shards(file) if file.suffix == ".json" else (file,), kind)
        if pickles[kind]:
            raise CheckpointError(_only_pickled(folder, pickles[kind][0], kind, found[wanted[-1]]))
    raise CheckpointError(
        f"{folder} has no {_STEMS[library]}.safetensors; is this an aMUSEd checkpoint in diffusers layout?"
    )


def in_place_of_weights(file: Path) -> str | None:
    """Return what a file is that is known to be no safetensors file, and what to do; None where that is not known."""
    for beginning, what in _NO_WEIGHTS.items():
        try:
            with file.open("rb") as opened:
                if opened.read(len(beginning)) == beginning:
                    return what
        except OSError:
            return None
    return None


def check_variant(checkpoint: Path, variant: str) -> None:
    """Raise `CheckpointError` if no component has weights of a variant; warn where some have and others have not."""
    lacking = _without_variant(checkpoint, variant)
    if len(lacking) == len(COMPONENTS):
        raise CheckpointError(f"{checkpoint} has no {variant} weights in {', '.join(lacking)}; leave out the variant")
    if lacking:
        warnings.warn(
            f"{checkpoint} has no {variant} weights in {', '.join(lacking)}: the full weights are read there",
            AmusedEdgeWarning,
            stacklevel=2,
        )


def _without_variant(checkpoint: Path, variant: str) -> list[str]:
    """Return the components that have no weights of a variant, neither safetensors nor pickles."""
    return [
        name
        for name, library in COMPONENTS.items()
        if _first_file(checkpoint / name, library, variant) is None
        and not _pickles(checkpoint / name, variant)[variant]
    ]


def _first_file(folder: Path, library: Library, variant: str | None) -> Path | None:
    """Return the index or the file that the library would open: diffusers prefers an index, transformers a file."""
    stem, suffix = _STEMS[library], f".{variant}" if variant else ""
    single, index = f"{stem}{suffix}.safetensors", f"{stem}.safetensors.index{suffix}.json"
    names = [single, index] if library == "transformers" else [index, f"{stem}.safetensors{suffix}.index.json", single]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _pickles(folder: Path, variant: str) -> dict[str | None, list[str]]:
    """Return the names of pickled weights: of the variant, and (None) of full ones."""
    names = sorted(path.name for path in folder.glob("*.bin")) if folder.is_dir() else []
    of_variant = [name for name in names if f".{variant}" in name]
    return {variant: of_variant, None: [name for name in names if name not in of_variant]}


def _only_pickled(folder: Path, pickle: str, kind: str | None, other: Path | None) -> str:
    """Say what is wrong, and the ways out; `other` is what could be read of the other kind."""
    choose = "" if other is None else f"{f'leave out --variant {kind}' if kind else f'choose --variant {HALVES}'}, or "
    return (
        f"{folder} holds its {kind or 'full'} weights only pickled ({pickle}), which can run code when loaded; "
        f"{choose}{AS_SAFETENSORS}"
    )


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = tuple(index.parent / name for name in names)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{index} is not a safetensors index ({error}); download it again") from error
    for name, file in zip(names, files, strict=True):
        if Path(name).name != name:
            raise CheckpointError(f"{index} names the shard {quoted(name)}, which may lie outside its folder")
        if not os.path.isfile(file):  # False too of names that no file can have
            raise CheckpointError(f"{index} names the shard {quoted(name)}, which is missing; download it again")
    return files
