"""How huggingface_hub keeps a repository: every file of a snapshot is a link to one of the repository's blobs.

    models--OWNER--NAME/blobs/HASH
    models--OWNER--NAME/snapshots/REVISION/FOLDER/FILE -> ../../../blobs/HASH

Such a link leaves the folder of a bundle, but not that of its own repository.
"""

from pathlib import Path

_REPOSITORIES = ("models--", "datasets--", "spaces--")


def is_own_blob(file: Path, folder: Path) -> bool:
    """Return whether a link in a folder of a snapshot ends at a blob of the same repository."""
    root = folder.resolve()
    for place in (root, *root.parents):
        if place.parent.name == "snapshots":
            repository = place.parent.parent
            return repository.name.startswith(_REPOSITORIES) and file.resolve().parent == repository / "blobs"
    return False
