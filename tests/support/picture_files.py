"""Picture files byte by byte, for tests of what a library would not write."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"

GREY, RGB, PALETTE = 0, 2, 3
"""Colour types of PNG."""


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, bits: int, colour_type: int, row: bytes, *extras: bytes) -> bytes:
    """A PNG of one row; extras stand between its header and its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0))
    return SIGNATURE + header + b"".join(extras) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


def profile(space: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 whose connection space is XYZ, or Lab for those with a table."""
    space_of_connection = b"Lab " if b"A2B0" in tags else b"XYZ "
    white = b"XYZ \0\0\0\0" + _fixed(0.9642, 1.0, 0.8249)
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78), b"wtpt": white, **tags}
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"test", 0x02100000, kind, space, space_of_connection)
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def matrix_profile(columns: list[tuple[float, float, float]], gamma: float) -> bytes:
    """Red, green and blue in XYZ under D50, and one gamma for all."""
    tags = {
        name: b"XYZ \0\0\0\0" + _fixed(*xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    return profile(b"RGB ", b"mntr", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma_curve(gamma))})


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", b"mntr", {b"kTRC": gamma_curve(gamma)})


def ink_profile() -> bytes:
    """CMYK whose lightness falls from 100 to 0 by the black ink alone, and by each colour to half."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(16, 4)
    lightness = 100 * np.where(corners[:, :3].any(axis=1), 0.5, 1.0) * (1 - corners[:, 3])
    lab = np.stack([np.rint(lightness * 2.55), np.full(16, 128), np.full(16, 128)], -1).astype(np.uint8)
    unit = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    straight = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + unit + straight * 4 + lab.tobytes() + straight * 3
    return profile(b"CMYK", b"prtr", {b"A2B0": table})


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
