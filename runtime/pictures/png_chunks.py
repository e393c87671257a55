"""PNG files of which little more than the pixels is wanted."""

import zlib
from collections.abc import Collection

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def bare_png(content: bytes, kept: Collection[str]) -> bytes:
    """Return a PNG with the chunks that its pixels need, and with those of `kept` whose checksums are right.

    Raises
    ------
    ValueError
        It is no PNG.
    """
    if not content.startswith(_SIGNATURE):
        raise ValueError("this is no PNG")
    chunks, place = [_SIGNATURE], len(_SIGNATURE)
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4])
        chunk, kind = content[place:end], content[place + 4 : place + 8].decode("latin-1")
        needed = not kind[:1].islower() or kind == "tRNS"  # the case of the first letter says so
        if needed or (kind in kept and _is_whole(chunk)):
            chunks.append(chunk)
        place = end
    return b"".join(chunks)


def _is_whole(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
