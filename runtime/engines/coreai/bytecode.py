"""Finds the values of constants in a package's `main.mlirb`, which is MLIR bytecode.

Core AI's bindings say which constant stands where and not what is in it. Source of the format: "MLIR Bytecode Format"
of the MLIR documentation, versions 1 to 6. The file is mapped, so that only what is looked at is read.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_MAGIC = b"ML\xefR"
_STRINGS, _BLOBS, _BLOB_TABLE = 0, 5, 6
"""Numbers of the sections that are read."""

_ALIGNED = 0x80
"""Flag of a section's number: an alignment and padding stand before its content."""

_LARGEST_ALIGNMENT = 2**32
"""In bytes, far above what processors know."""

_BLOB = 0
"""Kind of an entry that holds bytes, and no truth value or text."""


def read_blobs(file: Path) -> dict[str, Bytes]:
    """Return the bytes of a program's large constants by the key that `dense_resource<KEY>` names.

    Raises
    ------
    ValueError
        It is not MLIR bytecode, or damaged.
    """
    data: Bytes = np.memmap(file, np.uint8, "r")
    if bytes(data[:4]) != _MAGIC:
        raise ValueError(f"{file.name} is no MLIR bytecode")
    try:
        sections = _sections(data)
        if _BLOB_TABLE not in sections:
            return {}
        texts = _texts(sections[_STRINGS])
        return dict(_entries(sections[_BLOB_TABLE], sections[_BLOBS], texts))
    except (IndexError, KeyError) as error:
        raise ValueError(f"{file.name} ends where more was announced") from error


class _Cursor:
    """Reads numbers one after the other."""

    def __init__(self, data: Bytes, place: int = 0) -> None:
        self.data = data
        self.place = place

    def byte(self) -> int:
        self.place += 1
        return int(self.data[self.place - 1])

    def number(self) -> int:
        """Read a number of 1 to 9 bytes: the first one's trailing zeros say how many follow."""
        first = int(self.data[self.place])
        size = 9 if first == 0 else (first & -first).bit_length()
        piece = self.bytes(size)
        whole = int.from_bytes(piece.tobytes(), "little")
        return whole >> 8 if first == 0 else whole >> size

    def bytes(self, count: int) -> Bytes:
        piece = self.data[self.place : self.place + count]
        if len(piece) != count:
            raise IndexError
        self.place += count
        return piece

    def align(self, alignment: int) -> None:
        if not 0 < alignment <= _LARGEST_ALIGNMENT:
            raise IndexError
        self.place += -self.place % alignment

    @property
    def ended(self) -> bool:
        return self.place >= len(self.data)


def _sections(data: Bytes) -> dict[int, Bytes]:
    cursor = _Cursor(data, len(_MAGIC))
    cursor.number()  # the format's version
    while cursor.byte() != 0:  # the producer's name
        pass
    found = {}
    while not cursor.ended:
        number, length = cursor.byte(), cursor.number()
        if number & _ALIGNED:
            cursor.align(cursor.number())
        found[number & ~_ALIGNED] = cursor.bytes(length)
    return found


def _texts(section: Bytes) -> list[str]:
    """Return the strings, whose lengths (with a zero byte) come first, the last string's before the others'."""
    cursor = _Cursor(section)
    lengths = [cursor.number() for _ in range(cursor.number())]
    texts, end = [], len(section)
    for length in lengths:
        texts.append(section[end - length : end - 1].tobytes().decode("utf-8", "replace"))
        end -= length
    return texts[::-1]


def _entries(table: Bytes, blobs: Bytes, texts: list[str]) -> Iterator[tuple[str, Bytes]]:
    """Yield key and bytes; groups of entries (of a dialect or a tool) follow each other."""
    cursor, start = _Cursor(table), 0
    cursor.number()  # how many groups are tools'
    while not cursor.ended:
        cursor.number()  # whose
        for _ in range(cursor.number()):
            key, size, kind = texts[cursor.number()], cursor.number(), cursor.byte()
            if kind == _BLOB:
                yield key, _blob(blobs, start)
            start += size


def _blob(blobs: Bytes, start: int) -> Bytes:
    """Alignment, size, padding, content. The section itself begins at a multiple of every alignment in it."""
    cursor = _Cursor(blobs, start)
    alignment, size = cursor.number(), cursor.number()
    cursor.align(alignment)
    return cursor.bytes(size)
