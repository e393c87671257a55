"""A bundle on disk: a folder, immutable once written, with everything an app needs for one target.

Opening is cheap: the manifest's schema and names, the presence and size of every file. Hashes are for `verification`.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amused_edge.runtime.errors import BundleError
from amused_edge.runtime.graph_entry import FileEntry, GraphEntry
from amused_edge.runtime.manifest import GOLDEN_NAME, MANIFEST_NAME, ROLES, TOKENIZER_NAME, Manifest


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: str | Path) -> "Bundle":
        """Open a bundle.

        Raises
        ------
        BundleError
            The folder is no bundle, a role is missing, a file is missing, outside the folder or of another size.
        """
        root = Path(path)
        try:
            text = (root / MANIFEST_NAME).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                f"{root} is not a bundle: cannot read {MANIFEST_NAME}; make one with `amused-edge export`"
            ) from error
        bundle = Bundle(root, Manifest.from_json(text))
        bundle._check_roles()
        for entry in bundle.manifest.all_files():
            try:
                bundle._check_file(entry)
            except OSError as error:
                raise BundleError(
                    f"cannot read {bundle.file(entry)}: {error.strerror}; copy the bundle again"
                ) from error
        return bundle

    @cached_property
    def sha256(self) -> str:
        """Hash of the manifest, which holds the hashes of all other files: the bundle's identity."""
        try:
            text = (self.path / MANIFEST_NAME).read_bytes()
        except FileNotFoundError:  # a bundle in the making, tried out before it is complete
            text = self.manifest.to_json().encode()
        return hashlib.sha256(text).hexdigest()

    def file(self, entry: FileEntry) -> Path:
        """Return where a file of the bundle lies."""
        return self.path / entry.path

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

    def _check_roles(self) -> None:
        missing = [role for role in ROLES if role not in self.manifest.graphs]
        missing += [name for name in (TOKENIZER_NAME, GOLDEN_NAME) if name not in self.manifest.files]
        if missing:
            raise BundleError(f"bundle {self.path} lacks {', '.join(missing)}; copy it again, or export it again")

    def _check_file(self, entry: FileEntry) -> None:
        file = self.file(entry)
        if not file.is_file():
            raise BundleError(f"bundle {self.path} lacks the file {entry.path}; copy it again")
        if not file.resolve().is_relative_to(self.path.resolve()):
            raise BundleError(f"{file} is a link that leaves the bundle; do not use this bundle")
        size = file.stat().st_size
        if size != entry.bytes:
            raise BundleError(
                f"{file} has {size} bytes, the manifest says {entry.bytes}: truncated or changed; copy the bundle again"
            )
