"""Hashes of a bundle's files: checked in full on demand, and once per bundle and machine before first use.

That a bundle was checked is remembered in the user's cache folder, by path, manifest and each file's size and time
stamp.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amused_edge.runtime.bundle.graph_entry import FileEntry
from amused_edge.runtime.bundle.hub_cache import advice
from amused_edge.runtime.bundle.manifest import MANIFEST_NAME
from amused_edge.runtime.errors import BundleError
from amused_edge.runtime.system import cache_folder

if TYPE_CHECKING:
    from amused_edge.runtime.bundle.folder import Bundle


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(bundle: "Bundle") -> None:
    """Check the hash of every file.

    Raises
    ------
    BundleError
        Names the first file whose content is not what the manifest says.
    """
    bundle.fetch()
    verify_files(bundle, bundle.manifest.all_files())


def verify_files(bundle: "Bundle", files: Iterable[FileEntry]) -> None:
    """Check the hashes of some files of a bundle, which are here; raises as `verify`."""
    for entry in files:
        try:
            with bundle.place(entry).open("rb") as file:
                bundle.check_unchanged(entry, os.fstat(file.fileno()))
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BundleError(f"cannot read {bundle.place(entry)}: {error.strerror}; copy the bundle again") from error
        if found != entry.sha256:
            raise BundleError(
                f"{bundle.place(entry)} is damaged: its SHA-256 is not the manifest's; "
                f"{advice(bundle.place(entry), bundle.path)}"
            )


def verify_once(bundle: "Bundle", files: Sequence[FileEntry] | None = None) -> None:
    """Like `verify`, but skipped where this bundle, unchanged, was verified on this machine before.

    Where that cannot be remembered, a warning says so. Files of the hub are checked as they arrive, and all come now.

    Parameters
    ----------
    files
        Those that are checked, which are here; None: all.
    """
    if files is None and bundle.origin is not None:
        bundle.fetch()
        return
    folder = cache_folder.folder("verified")
    name = fingerprint(bundle, files)
    if folder is not None and os.path.exists(folder / name):  # False too where one may not look
        return
    verify_files(bundle, bundle.manifest.all_files() if files is None else files)
    if folder is None:
        cache_folder.note(None)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    except OSError as error:
        cache_folder.note(folder, error)


def fingerprint(bundle: "Bundle", files: Sequence[FileEntry] | None = None) -> str:
    """Return a name that changes whenever the bundle's path, manifest, or a file's size or time changes; of all files,
    or of some.
    """
    digest = hashlib.sha256((bundle.path / MANIFEST_NAME).read_bytes())
    digest.update(str(bundle.path.resolve()).encode("utf-8", "surrogateescape"))
    for entry in bundle.manifest.all_files() if files is None else files:
        stat = bundle.place(entry).stat()
        digest.update(f"{entry.path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\0".encode())
    return digest.hexdigest()
