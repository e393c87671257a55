"""Features of a set of pictures in a file: written in any order, read block by block, never held whole."""

import os
from pathlib import Path

import numpy as np

from amused_edge.benchmarks.metrics.sets import Features
from amused_edge.runtime.errors import OptionsError

_TYPE = np.dtype("<f8")


class FeatureFile:
    """(n, D) float64, row k that of picture k; `Rows` of `benchmarks.metrics.sets`.

    Parameters
    ----------
    path
        The file, which may not be there yet.
    count
        n.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count

    def write(self, index: int, row: Features) -> None:
        """Write a picture's features (D,); they are on the disk when this returns."""
        content = np.ascontiguousarray(row, _TYPE).tobytes()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "rb+") as file:
            file.seek(index * len(content))
            file.write(content)
            file.flush()
            if os.fstat(descriptor).st_size < self._count * len(content):
                os.ftruncate(descriptor, self._count * len(content))  # the size says how many features there are
            os.fsync(descriptor)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        try:
            return self._count, self._path.stat().st_size // (self._count * _TYPE.itemsize)
        except OSError as error:
            raise self._damaged() from error

    def __getitem__(self, rows: slice) -> Features:
        size = self.shape[1]
        first, last, _ = rows.indices(self._count)
        wanted = max(0, last - first) * size
        found = np.fromfile(self._path, _TYPE, wanted, offset=first * size * _TYPE.itemsize)
        if len(found) != wanted:
            raise self._damaged()
        return found.reshape(-1, size).astype(np.float64)

    def _damaged(self) -> OptionsError:
        return OptionsError(f"{self._path} is missing or damaged; remove the folder of the run")
