"""Names of files in UTF-8, whatever the system's locale is: for libraries, for records, and of new files."""

import os
from pathlib import Path

from amused_edge.runtime.errors import OptionsError, quoted


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


def name_text(path: Path) -> str:
    """Return the name of a file or folder as text that can be written down; bytes that are no UTF-8 are replaced."""
    return os.fsencode(path.name).decode(errors="replace")


def file_name(text: str) -> str:
    """Return text as the name of a file, in UTF-8 also where the locale lacks its letters."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return os.fsdecode(text.encode())
    return text


def check_name(path: Path) -> None:
    """Raise `OptionsError` if a path does not end in a name: "", ".", "..", "/", or what no file system can hold."""
    try:
        known = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        known = False
    if path.name in ("", "..") or not known:
        raise OptionsError(f"{quoted(str(path))} is no name for a file or folder; choose another one")
