"""Whether weights that a library wrote are on the disk.

NumPy's `tofile` loses an error of the disk: what was written instead went into a bundle, with a hash that fits it.
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
        Initializers of a graph by name; the `const_value` of each is its tensor, or None.
    """
    for name, value in given.items():
        tensor = value.const_value
        there = found[name].const_value if name in found else None
        if tensor is not None and (there is None or _bytes_of(there) != tensor.tobytes()):
            raise OSError(errno.EIO, "what the disk holds is not what was written to it", str(file))


def _bytes_of(tensor: Any) -> bytes | None:
    """Return what a tensor's file holds of it; None where that is too short."""
    try:
        return bytes(tensor.tobytes())
    except (ValueError, OSError):
        return None
