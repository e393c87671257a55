"""Files over HTTP: a strong ETag from their hash, parts by Range, and compression of what compresses."""

import asyncio
import gzip
import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from amused_edge.serve.http.answers import ProblemError

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""Not the system's own table, which differs from one to the next; browsers compile nothing that is not named so."""

_COMPRESSIBLE = {".html", ".css", ".js", ".mjs", ".json", ".webmanifest", ".svg", ".wasm", ".txt"}
_LARGEST_COMPRESSED = 64 * 2**20
_CACHED = 64
"""Files whose compressed form is kept in memory; more than a page and the JSON of a dozen bundles."""


@dataclass(frozen=True)
class File:
    """A file that may be fetched, and the SHA-256 of its content in hex."""

    path: Path
    sha256: str

    @staticmethod
    def of(path: Path) -> "File":
        """Hash a file."""
        with path.open("rb") as content:
            return File(path, hashlib.file_digest(content, "sha256").hexdigest())


async def file_answer(request: Request, file: File) -> Response:
    """Return a file, a part of it, or that it is as the client has it; raises `ProblemError` where it is gone."""
    try:
        found = await asyncio.to_thread(file.path.stat)
    except OSError as error:
        raise ProblemError(404, "this file is not there any more; start the server again", code="gone") from error
    suffix = PurePosixPath(file.path.name).suffix.lower()
    packed = suffix in _COMPRESSIBLE and found.st_size <= _LARGEST_COMPRESSED
    packed = packed and "range" not in request.headers and _takes_gzip(request.headers.get("accept-encoding", ""))
    headers = {
        "etag": f'"{file.sha256}{"-gzip" if packed else ""}"',
        "cache-control": "private, no-cache",  # kept, and asked for each time
        "content-type": _TYPES.get(suffix, "application/octet-stream"),
        **({"vary": "accept-encoding"} if suffix in _COMPRESSIBLE else {}),
    }
    if _has(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(None, 304, {name: value for name, value in headers.items() if name != "content-type"})
    if packed:
        content = await asyncio.to_thread(_packed, replace(file), found.st_mtime_ns)
        return Response(
            b"" if request.method == "HEAD" else content,
            200,
            {**headers, "content-encoding": "gzip", "content-length": str(len(content))},
        )
    return FileResponse(file.path, 200, headers, stat_result=os.stat_result(found))


@lru_cache(_CACHED)
def _packed(file: File, changed: int) -> bytes:
    """Return a file's content, compressed; `changed` is when it was, so that another is not taken for it."""
    return gzip.compress(file.path.read_bytes(), 6, mtime=0)


def _takes_gzip(accepted: str) -> bool:
    for choice in accepted.lower().split(","):
        coding, _, quality = choice.partition(";")
        if coding.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _has(tags: str, tag: str) -> bool:
    """Return whether a list of ETags holds one, weak or not (RFC 9110, 13.1.2)."""
    return tags.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in tags.split(",")]
