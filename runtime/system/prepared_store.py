"""Files that an engine prepared for this machine, kept in the user's cache folder up to a limit.

An entry is a folder. It is written beside its place and renamed, so that it is whole or not there, whoever else writes
it at the same time; it counts only while its files have the sizes and time stamps that were written down with it.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amused_edge.runtime.errors import AmusedEdgeError
from amused_edge.runtime.system import cache_folder
from amused_edge.runtime.system.unfinished import is_abandoned, unfinished

logger = logging.getLogger(__name__)

_NOTE = "entry.json"
"""Written last; its time stamp is that of the last use."""

_ABANDONED = 24 * 3600.0
"""Seconds after which nobody writes an entry any more, on whatever host."""


_PROBE = 2**16
"""Bytes that still find room where a disk is not full."""


_DAMAGE = (OSError, ValueError, KeyError, TypeError, RecursionError)
"""What reading a note may raise."""


@dataclass(frozen=True)
class Prepared:
    """One entry: where it is, what it was made of, its size in bytes, when it was last used (seconds since 1970)."""

    path: Path
    label: str
    bytes: int
    used: float


class PreparedStore:
    """The entries of this user and machine.

    Parameters
    ----------
    limit
        Most bytes that all entries may take together; those unused for longest go first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def find(self, key: str) -> Path | None:
        """Return the folder of an entry, if it is there and whole; one that is damaged is removed."""
        folder = cache_folder.folder("prepared")
        if folder is None or not os.path.exists(folder / key):  # False too where one may not look
            return None
        note = folder / key / _NOTE
        with suppress(*_DAMAGE):
            if json.loads(note.read_text(encoding="utf-8"))["files"] == _state(folder / key):
                with suppress(OSError):  # a cache that may only be read
                    os.utime(note)
                return folder / key
        logger.warning("%s is damaged; it is made again", folder / key)
        self.discard(key)
        return None

    def add(self, key: str, label: str, make: Callable[[Path], None]) -> Path | None:
        """Make an entry and return its folder; None, with a warning, where nothing can be kept.

        Parameters
        ----------
        label
            Says to a reader what the entry was made of.
        make
            Writes its files into the empty folder that it is given; what it raises comes through.
        """
        folder = cache_folder.folder("prepared")
        if folder is None:
            cache_folder.note(None)
            return None
        partial = unfinished(folder / key)
        try:
            partial.mkdir(parents=True)
            _make(partial, make)
            size = sum(_sync(file) for file in partial.iterdir())
            if size > self._limit:
                logger.info("%s takes %d bytes; only %d are allowed, so it is not kept", label, size, self._limit)
                return None
            note = {"label": label, "files": _state(partial)}
            (partial / _NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")
            _put(partial, folder / key)
        except OSError as error:
            logger.info("cannot keep %s in %s: %s", label, folder, error)
            cache_folder.note(folder, error)
            return None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        with suppress(AmusedEdgeError):
            self._prune(key)
        return self.find(key)

    def discard(self, key: str) -> None:
        """Remove an entry, if it is there."""
        folder = cache_folder.folder("prepared")
        if folder is not None:
            _remove(folder / key)

    def _prune(self, newest: str) -> None:
        """Remove what was unused for longest until the limit is kept, never the newest; and what was never finished."""
        _remove_abandoned()
        kept = sorted(prepared_entries(), key=lambda entry: (entry.path.name == newest, entry.used))
        total = sum(entry.bytes for entry in kept)
        while total > self._limit and len(kept) > 1:
            oldest = kept.pop(0)
            total -= oldest.bytes if _remove(oldest.path) else 0


def prepared_entries() -> list[Prepared]:
    """Return all entries, those last that were used last.

    Raises
    ------
    AmusedEdgeError
        The cache folder cannot be read.
    """
    found = []
    for path in _listed():
        if path.name.startswith("."):
            continue
        try:
            label = str(json.loads((path / _NOTE).read_text(encoding="utf-8"))["label"])
            size = sum(file.stat().st_size for file in path.iterdir())
            found.append(Prepared(path, label, size, (path / _NOTE).stat().st_mtime))
        except _DAMAGE:  # being written, being removed, or damaged
            continue
    return sorted(found, key=lambda entry: entry.used)


def clear_prepared() -> list[Prepared]:
    """Remove all entries that can be, and what killed processes left; return those that went, raises as
    `prepared_entries`.
    """
    _remove_abandoned()
    return [entry for entry in prepared_entries() if _remove(entry.path)]


def _remove_abandoned() -> None:
    """Remove what processes that were killed left half written or half removed."""
    for path in _listed():
        with suppress(OSError):
            old = path.name.startswith(".") and time.time() - path.stat().st_mtime > _ABANDONED
            if old or is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


def _listed() -> list[Path]:
    """Return what lies in the cache folder."""
    folder = cache_folder.folder("prepared")
    try:
        return [] if folder is None else list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise AmusedEdgeError(
            f"cannot read the cache folder {folder}: {error.strerror}; XDG_CACHE_HOME may name another one"
        ) from error


def _state(entry: Path) -> dict[str, list[int]]:
    """Return name -> size and time stamp of an entry's files but the note."""
    stats = {file.name: file.stat() for file in entry.iterdir() if file.name != _NOTE}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())}


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Make an entry's files; raises `OSError` where there was no room for them, whatever an engine makes of that."""
    try:
        make(folder)
    except Exception:
        probe = folder / "probe"
        probe.write_bytes(bytes(_PROBE))
        _sync(probe)
        raise


def _sync(file: Path) -> int:
    """Have a file's content on the disk before its name is; return its size."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
    return file.stat().st_size


def _put(partial: Path, path: Path) -> None:
    """Rename a finished entry; one that somebody else put there meanwhile is as good."""
    try:
        partial.rename(path)
    except OSError:
        if not os.path.exists(path):
            raise


def _remove(path: Path) -> bool:
    """Take an entry away at once, then delete it: nobody finds half of one. Returns whether it went."""
    aside = unfinished(path)
    try:
        path.rename(aside)
    except OSError as error:
        if os.path.exists(path):
            logger.warning("cannot remove %s: %s", path, error)
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True
