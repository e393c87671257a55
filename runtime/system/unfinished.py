"""Names of what is not finished yet: beside its place, hidden, and telling which process writes it.

What a killed process left is so told from what another one is at, and removed by the next one that writes to the place.
"""

import contextlib
import glob
import os
import secrets
import shutil
import socket
from pathlib import Path

_NAME_BYTES = 96
"""Of the place's own name, in that of what is unfinished."""


def unfinished(path: Path, suffix: str = "") -> Path:
    """Return a new name beside a place for what will be moved there; a library may want a suffix."""
    return path.with_name(f"{_mark(path)}{os.getpid()}-{secrets.token_hex(4)}{suffix}")


def remove_abandoned(path: Path) -> None:
    """Remove what writers of the same place left on this host when they were killed."""
    for left in abandoned(path):
        _remove(left)


def remove_unremoved(folder: Path) -> None:
    """Remove what this process had to leave in a folder of its own, because a disk failed just when it was removed."""
    own = f".*.partial-{glob.escape(socket.gethostname())}-{os.getpid()}-*"
    for left in list(folder.rglob(own)):
        _remove(left)


def abandoned(path: Path) -> list[Path]:
    """Return what writers of the same place left on this host when they were killed."""
    try:
        return [left for left in path.parent.glob(f"{glob.escape(_mark(path))}*") if is_abandoned(left)]
    except OSError:  # a folder that cannot be read
        return []


def is_abandoned(path: Path) -> bool:
    """Say whether a name is one of `unfinished`, of this host, whose process is gone."""
    _, found, rest = path.name.partition(f".partial-{socket.gethostname()}-")
    process = rest.partition("-")[0]
    return bool(found) and process.isdigit() and not _alive(int(process))


def _mark(path: Path) -> str:
    """Return how names of what is unfinished begin for this place on this host; process id and a random part follow.

    Of a long name only the beginning is in it, so that the whole stays within the 255 bytes that file systems take.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES].decode(errors="ignore").encode())
    return f".{name}.partial-{socket.gethostname()}-"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name == "nt":  # there, signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
