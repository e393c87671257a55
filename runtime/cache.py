"""Where things are kept that can be made again."""

import os
from pathlib import Path


def folder(name: str) -> Path:
    """Return a folder of the user's cache for one purpose; it need not exist.

    Raises
    ------
    RuntimeError
        The user has no home.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "amused-edge" / name
