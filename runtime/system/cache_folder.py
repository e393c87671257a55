"""Where things are kept that can be made again. Nothing needs it: where nothing can be kept, all goes on without."""

import os
import warnings
from pathlib import Path

from amused_edge.runtime.errors import AmusedEdgeWarning

_NOTED: set[Path | None] = set()
"""Cache folders that the user was told of: one line per process is enough."""


def folder(name: str) -> Path | None:
    """Return a folder of the user's cache for one purpose, which need not exist; None where the user has no home.

    As the XDG base directory specification says, a name that does not begin at the root counts as none.
    """
    base = _given("XDG_CACHE_HOME") or _given("LOCALAPPDATA")
    if base is None and (home := _home()) is not None:
        base = home / ".cache"
    return None if base is None else base / "amused-edge" / name


def note(place: Path | None, reason: OSError | None = None) -> None:
    """Warn once per process that nothing can be kept.

    Parameters
    ----------
    place
        What `folder` returned.
    reason
        Why the folder cannot be used.
    """
    cache = None if place is None else place.parent
    if cache in _NOTED:
        return
    _NOTED.add(cache)
    what = "there is no home folder to keep a cache in"
    if cache is not None and reason is not None:
        what = f"the cache folder {cache} cannot be used ({reason.strerror or reason})"
    warnings.warn(
        f"{what}; nothing is kept for the next start; XDG_CACHE_HOME may name another folder",
        AmusedEdgeWarning,
        stacklevel=2,
    )


def _given(variable: str) -> Path | None:
    """Return the folder that an environment variable names; a shell may have left its ~ as it is."""
    value = os.environ.get(variable, "")
    home = _home() if value.startswith("~/") else None
    path = Path(value) if home is None else home / value[2:]
    return path if path.is_absolute() else None


def _home() -> Path | None:
    """Return the user's home, or None. A HOME that is empty or not absolute is none: the user's entry counts then."""
    if os.name == "nt" or os.path.isabs(os.environ.get("HOME", "")):
        try:
            return Path.home()
        except RuntimeError:
            return None
    import pwd

    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
    return home if home.is_absolute() else None
