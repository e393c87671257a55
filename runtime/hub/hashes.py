"""What the hub says of a file's content: a SHA-256 of large ones (LFS, Xet), git's hash of small ones."""

import hashlib
from pathlib import Path

_GIT_HASH, _SHA256 = 40, 64
"""Lengths, in hex digits."""


def content_hash(content: Path | bytes, like: str) -> str | None:
    """Return the hash of a file or of its content, of the kind that another hash is of; None if it is of neither."""
    if len(like) == _SHA256:
        if isinstance(content, bytes):
            return hashlib.sha256(content).hexdigest()
        with content.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    if len(like) != _GIT_HASH:
        return None
    known = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(known) + known, usedforsecurity=False).hexdigest()
