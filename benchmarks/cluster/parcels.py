"""Files and folders on their way to another machine: named, and checked there, by the hash of what they hold."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.runtime.bundle.verification import sha256
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.system import cache_folder
from amused_edge.runtime.system.whole_file import whole_file

try:
    import fcntl
except ImportError:  # Windows: each process unpacks for itself, and the last one stays
    fcntl = None  # type: ignore[assignment]

CHUNK = 64 * 2**20
"""Bytes that travel together."""

STAMP = "stamp.json"
"""Beside the files: their sizes and times when they were last known to be whole."""


@dataclass(frozen=True)
class Entry:
    """A file of a parcel; its name has slashes."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Parcel:
    """A file or a folder.

    Attributes
    ----------
    place
        Absolute path where it comes from.
    entries
        Its files; of a file, that one.
    folder
        Whether it is a folder.
    """

    place: str
    entries: tuple[Entry, ...]
    folder: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the names and hashes of its files."""
        lines = [f"{entry.sha256} {entry.name}\n" for entry in self.entries]
        return hashlib.sha256("".join([f"{self.folder} {Path(self.place).name}\n", *lines]).encode()).hexdigest()

    def source(self, entry: Entry) -> Path:
        """Return where a file comes from."""
        return Path(self.place) / entry.name if self.folder else Path(self.place)


def pack(place: str) -> Parcel:
    """Look at a file or folder; raises `OptionsError` where it cannot be read."""
    path = Path(place)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    try:
        entries = [
            Entry(file.relative_to(path).as_posix() if path.is_dir() else path.name, file.stat().st_size, sha256(file))
            for file in files
        ]
    except OSError as error:
        raise OptionsError(f"cannot read {error.filename or path}: {error.strerror}; the cluster needs it") from error
    return Parcel(place, tuple(entries), path.is_dir())


Fetch = Callable[[str, str, int], bytes]
"""(digest of a parcel, name of a file, number of the chunk from 0) -> the chunk."""


def chunk(parcel: Parcel, name: str, number: int) -> bytes:
    """Read a chunk where the parcel comes from."""
    entry = next(entry for entry in parcel.entries if entry.name == name)
    with parcel.source(entry).open("rb") as file:
        file.seek(number * CHUNK)
        return file.read(CHUNK)


def unpack(parcel: Parcel, fetch: Fetch) -> Path:
    """Return this machine's copy of a parcel, which is fetched where there is none, or none that is whole.

    Raises
    ------
    ClusterError
        It did not arrive whole, or there is no room for it.
    """
    shelf = _shelf()
    copy = shelf / parcel.digest
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with _alone(shelf / f"{parcel.digest}.lock"):
            if not _is_whole(copy, parcel):
                _fetch(copy, parcel, fetch)
    except OSError as error:
        raise ClusterError(f"cannot keep a copy of {parcel.place} in {shelf}: {error.strerror or error}") from error
    return copy / Path(parcel.place).name


def _shelf() -> Path:
    return cache_folder.folder("cluster") or Path(tempfile.gettempdir()) / "amused-edge-cluster"


def _fetch(copy: Path, parcel: Parcel, fetch: Fetch) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    try:
        for entry in parcel.entries:
            path = _inside(partial, parcel, entry)
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with path.open("xb") as file:
                for number in range(-(-entry.bytes // CHUNK)):
                    part = fetch(parcel.digest, entry.name, number)
                    digest.update(part)
                    file.write(part)
            if digest.hexdigest() != entry.sha256:
                raise ClusterError(f"{parcel.source(entry)} did not arrive as it was; did it change? start again")
        _stamp(partial, parcel)
        partial.rename(copy)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _inside(copy: Path, parcel: Parcel, entry: Entry) -> Path:
    root = copy / Path(parcel.place).name
    return root / entry.name if parcel.folder else root


def _is_whole(copy: Path, parcel: Parcel) -> bool:
    """Return whether a copy is what it was, by sizes and times; where these say nothing, by hash."""
    try:
        found = _facts(copy, parcel)
        if json.loads((copy / STAMP).read_text()) == found:
            return True
        if any(sha256(_inside(copy, parcel, entry)) != entry.sha256 for entry in parcel.entries):
            return False
        _stamp(copy, parcel)
    except (OSError, ValueError):
        return False
    return True


def _facts(copy: Path, parcel: Parcel) -> list[list[int]]:
    stats = [_inside(copy, parcel, entry).stat() for entry in parcel.entries]
    return [[stat.st_size, stat.st_mtime_ns, stat.st_ino] for stat in stats]


def _stamp(copy: Path, parcel: Parcel) -> None:
    with whole_file(copy / STAMP, replace=True) as file:
        file.write(json.dumps(_facts(copy, parcel)).encode())


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other processes of this machine out."""
    with lock.open("wb") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
