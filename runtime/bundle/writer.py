"""Writes a bundle so that it appears complete or not at all.

Everything goes into a temporary sibling folder that is renamed at the end. An error or interrupt removes it; what a
killed process left is removed by the next one that writes to the same place.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from amused_edge.runtime.bundle.card.text import CARD_NAME, card_bytes
from amused_edge.runtime.bundle.graph_entry import FileEntry
from amused_edge.runtime.bundle.manifest import MANIFEST_NAME, Manifest
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.verification import sha256
from amused_edge.runtime.errors import BundleError, OutputExistsError
from amused_edge.runtime.system.unfinished import remove_abandoned, remove_unremoved, unfinished


class BundleWriter:
    """The unfinished bundle: write files under `path`, then call `finish`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: Manifest | None = None

    def entry(self, name: str) -> FileEntry:
        """Return the manifest's entry of a file already written under `path`."""
        file = self.path / name
        return FileEntry(name, file.stat().st_size, sha256(file))

    def write_text(self, name: str, text: str) -> FileEntry:
        """Write a text file and return its entry."""
        (self.path / name).write_text(text, encoding="utf-8")
        return self.entry(name)

    def copy(self, source: Path, name: str) -> FileEntry:
        """Copy a file of another bundle and return its entry."""
        shutil.copyfile(source, self.path / name)
        return self.entry(name)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write (or replace) the manifest; without one, the bundle does not appear."""
        self.manifest = manifest
        (self.path / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")


@contextlib.contextmanager
def new_bundle(out: Path) -> Iterator[BundleWriter]:
    """Give a `BundleWriter` and, when the block ends without an error, add the model card and move its folder to `out`.

    Raises
    ------
    OutputExistsError
        `out` exists, before or after the block.
    OptionsError
        As of `check_free`.
    BundleError
        The disk is full, or the folder cannot be written.
    """
    with new_folder(out) as folder:
        writer = BundleWriter(folder)
        yield writer
        if writer.manifest is None:
            raise BundleError(f"nothing was written for {out}: the bundle has no manifest")
        (folder / CARD_NAME).write_bytes(card_bytes(writer.manifest))


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder and, when the block ends without an error, rename it to `out`; raises as `new_bundle`."""
    with passing_folder(out) as partial:
        yield partial
        remove_unremoved(partial)  # nobody would, later
        check_free(out)
        partial.rename(out)


@contextlib.contextmanager
def passing_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out`, for what is needed only while `out` is made; it is gone after the block.

    Raises as `new_bundle`.
    """
    check_free(out)
    remove_abandoned(out)
    partial = unfinished(out)
    parents = [parent for parent in out.parents if not parent.exists()]
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        if isinstance(error, OutputExistsError):
            raise
        raise BundleError(_explain(error, out)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in parents:  # the innermost first; those that hold the bundle stay
            with contextlib.suppress(OSError):
                parent.rmdir()


def _explain(error: OSError, out: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full: cannot write {out}; nothing was kept, free some space and try again"
    return f"cannot finish {out}: {error}; nothing was kept"
