"""Whether weights that a library wrote are on the disk.

NumPy's `tofile` loses an error of the disk, and so does coremltools: what was written instead went into a bundle, with
a hash that fits it.
"""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def check_written(file: Path, given: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise `OSError` if what was read back from a file is not what was given to be written.

    Parameters
    ----------
    given, found
        Tensors or arrays by name; None where a graph only names one.
    """
    others = found.keys() - given.keys()
    if others or any(_differ(tensor, found.get(name)) for name, tensor in given.items() if tensor is not None):
        raise OSError(errno.EIO, "what the disk holds is not what was written to it", str(file))


def check_initializers(file: Path, given: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Do so for the initializers of a graph, whose tensor is the `const_value` of each."""
    check_written(file, *({name: value.const_value for name, value in each.items()} for each in (given, found)))


def _differ(given: Any, found: Any) -> bool:
    return found is None or _bytes_of(found) != given.tobytes()


def _bytes_of(tensor: Any) -> bytes | None:
    """Return what a tensor's file holds of it; None where that is too short."""
    try:
        return bytes(tensor.tobytes())
    except (ValueError, OSError):
        return None
