"""States as text: JSON with a hash of itself, in which arrays are packed; and the files that hold it."""

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.system.whole_file import whole_file

VERSION = 1


def sealed(format: str, content: dict[str, Any]) -> str:
    """Return a state as JSON: its format, the version, its content, and a hash of all of it."""
    whole = {"format": format, "version": VERSION, **content}
    return json.dumps({**whole, "sha256": hash_of(whole)}, ensure_ascii=False)


def opened(text: str, format: str, *, other: str, again: str) -> Fields:
    """Read what `sealed` wrote.

    Parameters
    ----------
    other, again
        What is said of another format or version, and what to do where the hash does not fit.

    Raises
    ------
    StateError
        It is damaged, of a newer version, or anything else.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(str(error)) from error
    values = Fields(content, "state", "it is damaged", damaged)
    if values.get("format", str) != format or values.get("version", int) != VERSION:
        raise StateError(f"{other}; use the amused-edge that wrote it")
    if content.pop("sha256", None) != hash_of(content):
        raise StateError(f"the state is damaged: its hash does not fit; {again}")
    return values


def write_state(text: str, path: str | Path) -> None:
    """Write a state to a file, which is replaced whole or not at all."""
    with whole_file(Path(path), replace=True) as file:
        file.write(text.encode())


def read_state(path: str | Path) -> str:
    """Read a state's file; raises `StateError`, also where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{path} cannot be read as a state: {error}") from error


def damaged(why: str) -> StateError:
    """Return the error of a state that cannot be read."""
    return StateError(f"the state is damaged ({why}); begin the picture again")


def hash_of(content: dict[str, Any]) -> str:
    """Return the hash of a state's other fields."""
    try:
        text = json.dumps(content, sort_keys=True)
    except RecursionError as error:  # lists within each other may be read and yet not be written
        raise damaged(str(error)) from error
    return hashlib.sha256(text.encode()).hexdigest()


def packed(array: NDArray[Any]) -> str:
    """Return an array's bytes as text."""
    return base64.b64encode(zlib.compress(array.tobytes())).decode()


def unpacked(text: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return the array of `packed`; no more bytes are unpacked than the shape has."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise damaged(str(error)) from error
    if len(content) != size:
        raise damaged(f"{len(content)} bytes for a grid of {size}")
    return np.frombuffer(content, dtype).reshape(shape)
