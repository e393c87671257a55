"""The weights of one component of a checkpoint: safetensors, in one file or in shards, read tensor by tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from amused_edge.export.checkpoint.weight_files import Library, find_weight_files, in_place_of_weights
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.tensors import all_finite

_FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
"""Types of weights. Whole numbers are somebody's quantization, whose scales lie elsewhere."""


class SafetensorsFolder:
    """Names, shapes and values of the tensors in a component's folder.

    Parameters
    ----------
    folder, library, variant
        As of `find_weight_files`.

    Raises
    ------
    CheckpointError
        No safetensors, a damaged file, or a shard that leaves the folder.
    """

    def __init__(self, folder: Path, library: Library, variant: str | None = None) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        self._types: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.files = find_weight_files(folder, library, variant).files
        for file in self.files:
            self._read_header(file)

    def _read_header(self, file: Path) -> None:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - not a mapping
                    part = opened.get_slice(name)
                    self._files[name] = file
                    self._types[name] = str(part.get_dtype())
                    self.shapes[name] = tuple(part.get_shape())
        except (SafetensorError, OSError) as error:
            what = in_place_of_weights(file)
            if what is not None:
                raise CheckpointError(f"{file} is {what}") from error
            raise CheckpointError(f"{file} is not a whole safetensors file ({error}); download it again") from error

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor, floats as float32."""
        return self.reader()(name)

    def reader(self) -> Callable[[str], torch.Tensor]:
        """Return what reads tensors as `read` does, and opens each file once: that reads the names of all its tensors.

        What a reader returns shares memory with what it returned of that name before, but not with other readers'.
        """
        opened: dict[Path, Any] = {}

        def read(name: str) -> torch.Tensor:
            file = self._files[name]
            if file not in opened:
                opened[file] = safe_open(file, framework="pt")
            tensor: torch.Tensor = opened[file].get_tensor(name)
            return tensor.float() if tensor.is_floating_point() else tensor

        return read

    def check(self, expected: dict[str, tuple[int, ...]], ignored: frozenset[str] = frozenset()) -> None:
        """Raise `CheckpointError` naming tensors that are missing, extra, misshapen or no floats, or a value that
        is not finite.

        Parameters
        ----------
        ignored
            Tensors that may be there and are of no use.

        Notes
        -----
        Every value is read once: 600 million take some tenths of a second, and an export that reads them again soon
        after finds them in memory.
        """
        missing = sorted(set(expected) - set(self.shapes))
        extra = sorted(set(self.shapes) - set(expected) - ignored)
        misshapen = [
            f"{name} (has {list(self.shapes[name])}, config says {list(shape)})"
            for name, shape in sorted(expected.items())
            if name in self.shapes and self.shapes[name] != shape
        ]
        codes = [
            f"{name} ({self._types[name]})"
            for name in sorted(expected)
            if name in self._types and self._types[name] not in _FLOATS
        ]
        found = {"missing": missing, "unexpected": extra, "wrong shape": misshapen, "no floats": codes}
        problems = [f"{kind}: {_some(names)}" for kind, names in found.items() if names]
        if problems:
            raise CheckpointError(f"the weights in {self.folder} do not fit its config.json; {'; '.join(problems)}")
        read = self.reader()
        for name in expected:
            self._check_finite(name, read(name))

    def _check_finite(self, name: str, tensor: torch.Tensor) -> None:
        """A single NaN turns all that it reaches into NaN, which pixels and tokens do not show."""
        if all_finite(tensor):
            return
        places = (~torch.isfinite(tensor)).nonzero()
        place = places[0].tolist()
        raise CheckpointError(
            f"{self._files[name]}: {name}{place if place else ''} is {tensor[tuple(place)].item()}"
            f"{f', as are others of its values ({len(places)} in all)' if len(places) > 1 else ''}; weights must be "
            "finite: download the file again, or save one from before training diverged"
        )


def _some(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
