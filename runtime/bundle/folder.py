"""A bundle on disk: a folder, immutable once written, with everything an app needs for one target.

Opening is cheap: the manifest's schema and names, the presence and size of every file. Hashes are for `verification`.

A bundle of the hub is a folder too, in the hub's cache: opening fetches its manifest, and each file comes, and is
checked by size and hash, when it is first asked for.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry
from amused_edge.runtime.bundle.hub_cache import advice, is_own_blob
from amused_edge.runtime.bundle.manifest import GOLDEN_NAME, MANIFEST_NAME, ROLES, TOKENIZER_NAME, Manifest
from amused_edge.runtime.errors import BundleError
from amused_edge.runtime.hub.address import address_unless_here, parse_address
from amused_edge.runtime.hub.download import HubFolder, find_folder
from amused_edge.runtime.system.library_paths import name_text

Identity = tuple[int, int, int, int]
"""Which file, and which content, as far as the file system tells: device, number, size, time stamp."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes
    ----------
    path
        Its folder.
    links
        Files that are links into a hub's cache, by their names in the manifest -> which file each led to when it was
        checked.
    origin
        Where its files are fetched from; None of a bundle that is all here.
    """

    path: Path
    manifest: Manifest
    links: dict[str, Identity] = field(default_factory=dict, repr=False, compare=False)
    origin: HubFolder | None = field(default=None, repr=False, compare=False)
    _arrived: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @staticmethod
    def open(path: str | Path) -> "Bundle":
        """Open a bundle.

        Parameters
        ----------
        path
            A folder, or where there is none of this name, a hub id: "owner/name", "owner/name/folder",
            "owner/name@revision", or the address of its page. Of the hub's, only the manifest is fetched now.

        Raises
        ------
        BundleError
            The folder is no bundle, a role is missing, a file is missing, outside the folder or of another size. Links
            may leave it only to blobs of their own repository in a hub's cache.
        HubError
            The hub does not give it.
        """
        address = address_unless_here(path)
        origin = None if address is None else find_folder(address, MANIFEST_NAME)
        root = Path(path) if origin is None else origin.path
        try:
            text = (root / MANIFEST_NAME).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # a path with a NUL, text that is not UTF-8
            hub = f", or take one from the hub: hf://{root.as_posix()}" if parse_address(root.as_posix()) else ""
            raise BundleError(
                f"{root} is not a bundle: cannot read {MANIFEST_NAME}; make one with `amused-edge export`{hub}"
            ) from error
        _check_link(root / MANIFEST_NAME, root)
        bundle = Bundle(root, Manifest.from_json(text), origin=origin)
        bundle._check_roles()
        for entry in bundle.manifest.all_files() if origin is None else ():
            bundle._check_file(entry)
        return bundle

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hashes of all other files: the bundle's identity."""
        try:
            text = (self.path / MANIFEST_NAME).read_bytes()
        except FileNotFoundError:  # a bundle in the making, tried out before it is complete
            text = self.manifest.to_json().encode()
        return hashlib.sha256(text).hexdigest()

    @property
    def name(self) -> str:
        """The name of its folder, or of its place on the hub."""
        return name_text(self.path.resolve()) if self.origin is None else self.origin.address.name

    @property
    def address(self) -> str:
        """What opens this very bundle in another process: its folder, or its place on the hub in one commit."""
        return str(self.path.resolve()) if self.origin is None else str(self.origin.address)

    def place(self, entry: FileEntry) -> Path:
        """Return where a file of the bundle lies, or will lie once it was fetched."""
        return self.path / entry.path

    def file(self, entry: FileEntry) -> Path:
        """Return where a file of the bundle lies; one of the hub is fetched first, with its graph's others, which are
        found beside it.
        """
        if self.origin is not None:
            self.fetch(next((graph.files for graph in self.manifest.graphs.values() if entry in graph.files), (entry,)))
        return self.place(entry)

    def fetch(self, files: Iterable[FileEntry] | None = None) -> None:
        """Bring files of a bundle of the hub, and check their sizes and hashes; all of them, if none are named.

        Raises
        ------
        HubError
            The hub does not give one.
        BundleError
            One is not what the manifest says.
        """
        if self.origin is None:
            return
        asked = self.manifest.all_files() if files is None else files
        missing = [entry for entry in asked if entry.path not in self._arrived]
        self.origin.fetch({entry.path: entry.bytes for entry in missing})
        for entry in missing:
            self._check_file(entry)
            verification.verify_once(self, [entry])
            self._arrived.add(entry.path)

    def fetch_roles(self, roles: Iterable[str]) -> None:
        """Bring what a bundle of the hub needs to run some roles, with the tokenizer; raises as `fetch`."""
        if self.origin is not None:
            graphs = [file for role in roles for file in self.graph(role).files]
            self.fetch([self.manifest.files[TOKENIZER_NAME], *graphs])

    def graph(self, role: str) -> GraphEntry:
        """Return the entry of a role."""
        return self.manifest.graphs[role]

    @property
    def tokenizer(self) -> Path:
        """Where `tokenizer.json` lies."""
        return self.file(self.manifest.files[TOKENIZER_NAME])

    @property
    def golden(self) -> Path:
        """Where the golden input and output lie."""
        return self.file(self.manifest.files[GOLDEN_NAME])

    def check_unchanged(self, entry: FileEntry, found: os.stat_result | None = None) -> None:
        """Raise `BundleError` if a link does not lead to the file any more that it led to when the bundle was opened.

        Whoever used such a file by its name asks afterwards, and so knows which one it was.

        Parameters
        ----------
        found
            Of the file that was opened; None: of the one that the link leads to now.
        """
        if entry.path not in self.links:
            return
        try:
            now = _identity(found or self.place(entry).stat())
        except OSError as error:
            raise BundleError(
                f"cannot read {self.place(entry)}: {error.strerror}; download the bundle again"
            ) from error
        if now != self.links[entry.path]:
            raise BundleError(f"{self.place(entry)} was changed while it was in use; open the bundle again")

    def _check_roles(self) -> None:
        missing = [role for role in ROLES if role not in self.manifest.graphs]
        missing += [name for name in (TOKENIZER_NAME, GOLDEN_NAME) if name not in self.manifest.files]
        if missing:
            raise BundleError(f"bundle {self.path} lacks {', '.join(missing)}; copy it again, or export it again")

    def _check_file(self, entry: FileEntry) -> None:
        try:
            self._check_size(entry)
        except OSError as error:
            raise BundleError(f"cannot read {self.place(entry)}: {error.strerror}; copy the bundle again") from error

    def _check_size(self, entry: FileEntry) -> None:
        file = self.place(entry)
        if not file.is_file():
            raise BundleError(f"bundle {self.path} lacks the file {entry.path}; copy it again")
        found = file.stat()
        if _check_link(file, self.path):
            self.links[entry.path] = _identity(found)
        size = found.st_size
        if size != entry.bytes:
            raise BundleError(
                f"{file} has {size} bytes, the manifest says {entry.bytes}: truncated or changed; "
                f"{advice(file, self.path)}"
            )


def _check_link(file: Path, root: Path) -> bool:
    """Return whether a file of a bundle is a link into its hub's cache; raise `BundleError` if it leads elsewhere."""
    if file.resolve().is_relative_to(root.resolve()):
        return False
    if is_own_blob(file, root):
        return True
    raise BundleError(
        f"{file} is a link that leaves the bundle; do not use this bundle, or, if the link is your own, make a copy "
        "without links: with `cp -rL`, or from the hub with `snapshot_download(..., local_dir=...)`"
    )


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
