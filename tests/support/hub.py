"""A folder as huggingface_hub keeps what it downloads."""

import hashlib
import os
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


def hub_snapshot(folder: Path, cache: Path, place: str = "") -> Path:
    """Put copies of a folder's files into the cache as the snapshot of a repository; return where they are found.

    Parameters
    ----------
    place
        Of the folder in the repository.
    """
    repository = cache / "models--owner--name"
    root = repository / "snapshots" / REVISION / place
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        content = file.read_bytes()
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        link = root / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return root
