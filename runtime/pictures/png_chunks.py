"""PNG files of which little more than the pixels is wanted."""

import os
import zlib
from collections.abc import Collection
from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"IHDR", b"tEXt", b"zTXt", b"iTXt", b"IEND")
_LONGEST_TEXT = 2**24


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


def text_of_png(file: BinaryIO) -> bytes:
    """Return a PNG without its pixels: its head, and its text where that is not large.

    Raises
    ------
    ValueError
        It is no PNG, or ends before it should.
    """
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("this is no PNG")
    chunks, kind = [_SIGNATURE], b""
    while kind != b"IEND":
        head = file.read(8)
        length, kind = int.from_bytes(head[:4]), head[4:]
        if len(head) < 8 or length >= 2**31:
            raise ValueError("the file is cut short")
        if kind in _TEXT and length <= _LONGEST_TEXT:
            chunks.append(head + file.read(length + 4))
        else:
            file.seek(length + 4, os.SEEK_CUR)
    return b"".join(chunks)


def _is_whole(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
