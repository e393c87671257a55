"""The weights of one component of a checkpoint: safetensors, in one file or in shards, read tensor by tensor."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from amused_edge.export.errors import CheckpointError
from amused_edge.runtime.errors import quoted


class SafetensorsFolder:
    """Names, shapes and values of the tensors in a component's folder.

    Parameters
    ----------
    folder
        Holds `STEM.safetensors`, or `STEM.safetensors.index.json` with its shards, or the same with `.fp16` before
        `.safetensors`.
    stem
        "model" or "diffusion_pytorch_model".
    variant
        "fp16" for the half-precision files; None takes the plain files and falls back to fp16.

    Raises
    ------
    CheckpointError
        No safetensors, a damaged file, or a shard that leaves the folder.
    """

    def __init__(self, folder: Path, stem: str, variant: str | None = None) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in _find(folder, stem, variant):
            self._read_header(file)

    def _read_header(self, file: Path) -> None:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    part = opened.get_slice(name)
                    self._files[name] = file
                    self.shapes[name] = tuple(part.get_shape())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is not a whole safetensors file ({error}); download it again") from error

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor, floats as float32."""
        with safe_open(self._files[name], framework="pt") as opened:
            tensor: torch.Tensor = opened.get_tensor(name)
        return tensor.float() if tensor.is_floating_point() else tensor

    def check(self, expected: dict[str, tuple[int, ...]], ignored: frozenset[str] = frozenset()) -> None:
        """Raise `CheckpointError` naming missing, extra and misshapen tensors, if there are any.

        Parameters
        ----------
        ignored
            Tensors that may be there and are of no use.
        """
        missing = sorted(set(expected) - set(self.shapes))
        extra = sorted(set(self.shapes) - set(expected) - ignored)
        misshapen = [
            f"{name} (has {list(self.shapes[name])}, config says {list(shape)})"
            for name, shape in sorted(expected.items())
            if name in self.shapes and self.shapes[name] != shape
        ]
        problems = [
            f"{kind}: {_some(names)}"
            for kind, names in (("missing", missing), ("unexpected", extra), ("wrong shape", misshapen))
            if names
        ]
        if problems:
            raise CheckpointError(f"the weights in {self.folder} do not fit its config.json; {'; '.join(problems)}")


def _find(folder: Path, stem: str, variant: str | None) -> list[Path]:
    suffixes = [f".{variant}"] if variant else ["", ".fp16"]
    for suffix in suffixes:
        single = folder / f"{stem}{suffix}.safetensors"
        if single.is_file():
            return [single]
        # diffusers and transformers have put the variant on either side of "index"
        for index in (
            folder / f"{stem}.safetensors.index{suffix}.json",
            folder / f"{stem}{suffix}.safetensors.index.json",
        ):
            if index.is_file():
                return _shards(index)
    pickles = sorted(p.name for p in folder.glob("*.bin")) if folder.is_dir() else []
    if pickles:
        raise CheckpointError(
            f"{folder} holds only pickled weights ({pickles[0]}), which can run code when loaded; save them as "
            "safetensors first, in diffusers: "
            "`AmusedPipeline.from_pretrained(PATH).save_pretrained(NEW, safe_serialization=True)`"
        )
    wanted = f"{stem}{suffixes[0]}.safetensors"
    raise CheckpointError(f"{folder} has no {wanted}; is this an aMUSEd checkpoint in diffusers layout?")


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        files = [index.parent / name for name in names]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is not a safetensors index ({error}); download it again") from error
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names the shard {quoted(name)}, which may lie outside its folder")
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index} names the shard {name}, which is missing; download it again")
    return files


def _some(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
