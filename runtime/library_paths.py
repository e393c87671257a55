"""Paths for libraries that write file names as UTF-8, whatever the system's locale is."""

import os
from pathlib import Path

from amused_edge.runtime.errors import OptionsError


def library_path(path: Path) -> str:
    """Return a path as text that a library finds the file by.

    Python hides the bytes of a name that its locale does not know in surrogates, which other libraries refuse.

    Raises
    ------
    OptionsError
        The name's bytes are no UTF-8.
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path}: libraries open no files whose names are not UTF-8; rename it") from error
