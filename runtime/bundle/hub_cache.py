"""How huggingface_hub keeps a repository: every file of a snapshot is a link to one of the repository's blobs.

    models--OWNER--NAME/blobs/HASH                                   of its content
    models--OWNER--NAME/snapshots/REVISION/FOLDER/FILE -> ../../../blobs/HASH

Such a link leaves the folder of a bundle, but not that of its own repository. From version 2 on, what Xet brought lies
once in a store of the whole cache, and the blob is itself a link, to exactly one place:

    models--OWNER--NAME/blobs/HASH -> ../../blobs/HH/XET_HASH        HH: its first two letters
"""

import re
from pathlib import Path

from amused_edge.runtime.hub.hashes import content_hash

_REPOSITORIES = ("models--", "datasets--", "spaces--")
_STORED = re.compile(r"[0-9a-f]{64}")


def is_own_blob(file: Path, folder: Path) -> bool:
    """Return whether a link in a folder of a snapshot ends at a blob of the same repository."""
    repository = _repository(folder)
    if repository is None:
        return False
    end = file.resolve()
    return end.parent == repository / "blobs" or end == _stored(file, repository)


def advice(file: Path, folder: Path) -> str:
    """Say what to do about a file of a bundle that is not what its manifest says."""
    repository = _repository(folder)
    if repository is None or not file.resolve().is_relative_to(repository.parent):
        return "copy the bundle again"
    blob = file.resolve() if file.resolve().parent == repository / "blobs" else _blob(file, repository)
    if blob is not None and blob.name == content_hash(file, blob.name):
        return "so it is on the hub: manifest and file are not of the same bundle; tell its owner"
    return f"remove {repository} and it is downloaded again"


def _repository(folder: Path) -> Path | None:
    """Return the repository in the hub's cache that a folder of a snapshot belongs to; None of any other folder."""
    root = folder.resolve()
    for place in (root, *root.parents):
        if place.parent.name == "snapshots":
            repository = place.parent.parent
            return repository if repository.name.startswith(_REPOSITORIES) else None
    return None


def _blob(file: Path, repository: Path) -> Path | None:
    """Return the blob that a link of a snapshot names, itself a link or not."""
    if not file.is_symlink():
        return None
    blob = Path(file.parent.resolve() / file.readlink())
    return blob if blob.parent.resolve() == repository / "blobs" else None


def _stored(file: Path, repository: Path) -> Path | None:
    """Return the place in the cache's common store that a link's blob leads to by the hub's own rule."""
    blob = _blob(file, repository)
    if blob is None or not blob.is_symlink():
        return None
    name = blob.readlink().name
    return repository.parent / "blobs" / name[:2] / name if _STORED.fullmatch(name) else None
