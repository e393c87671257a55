"""What stands beside the pixels of a picture: its orientation counts; what is damaged there is no reason to refuse."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from amused_edge.runtime import AmusedEdgeWarning, OptionsError
from amused_edge.runtime.pictures.sources import read_image
from tests.support.picture_files import SIGNATURE, chunk

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 3), np.uint8)


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag, kind, count) + value


def exif(orientation: Any, *others: bytes, behind: bytes = b"") -> bytes:
    entries = [entry(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), *others]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + behind


BEHIND = 8 + 2 + 2 * 12 + 4
ODD = {
    "a rational of -1/0": exif(6, entry(0x011A, 10, 1, struct.pack("<I", BEHIND)), behind=struct.pack("<ii", -1, 0)),
    "a rational of 1/0": exif(6, entry(0x011A, 5, 1, struct.pack("<I", BEHIND)), behind=struct.pack("<II", 1, 0)),
    "a text outside": exif(6, entry(0x010F, 2, 9999, struct.pack("<I", 70000))),
    "an unknown kind": exif(6, entry(0x010F, 99, 1, bytes(4))),
    "directories outside": exif(6, entry(0x8769, 4, 1, struct.pack("<I", 70000))),
    "cut behind the orientation": exif(6, entry(0x010F, 2, 4, b"abc\0"))[:26],
}


def stored(path: Path, tags: bytes) -> Path:
    """A picture with EXIF, as it is in the file."""
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {"lossless": True}
    with_head = tags if path.suffix == ".png" else b"Exif\0\0" + tags
    Image.fromarray(PIXELS).save(path, exif=with_head, **options)
    return path


def near(image: Image.Image, pixels: Any) -> bool:
    found = np.asarray(image, np.float64)
    return found.shape == pixels.shape and bool(np.abs(found - pixels).mean() < 12)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("kind", ODD)
def test_odd_exif_does_not_refuse_a_picture(kind: str, suffix: str, tmp_path: Path) -> None:
    """Writing the whole of EXIF anew, for want of one tag, failed at others that are odd."""
    assert near(read_image(stored(tmp_path / f"odd{suffix}", ODD[kind])), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_turned_and_others_stand(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = stored(tmp_path / f"turned{suffix}", exif(orientation))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(np.asarray(read_image(path)), expected)
    assert expected.shape == ((8, 4, 3) if 5 <= orientation <= 8 else (4, 8, 3))


def test_a_tiff_is_turned_as_its_own_tags_say(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "turned.tif", tiffinfo={0x0112: 6})
    assert np.array_equal(np.asarray(read_image(tmp_path / "turned.tif")), np.rot90(PIXELS, -1))


def test_a_picture_is_turned_once() -> None:
    image = Image.fromarray(PIXELS)
    image.info["exif"] = b"Exif\0\0" + exif(6)
    once = read_image(image)
    assert np.array_equal(np.asarray(once), np.rot90(PIXELS, -1))
    assert np.array_equal(np.asarray(read_image(once)), np.asarray(once))


def in_png(*before: bytes, behind: bytes = b"", path: Path) -> Path:
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:33] + b"".join(before) + content[33:-12] + behind + content[-12:])
    return path


def bad_checksum(whole: bytes) -> bytes:
    return whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:]


UNREADABLE_EXIF = {
    "four bytes": chunk(b"eXIf", b"II*\0"),
    "nothing": chunk(b"eXIf", b""),
    "noise": chunk(b"eXIf", bytes(range(200))),
    "a raw profile of no numbers": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      20\nnot hex"),
    "half a raw profile": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n      20\n457869660000494"),
}


@pytest.mark.parametrize("kind", UNREADABLE_EXIF)
def test_unreadable_exif_is_ignored(kind: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = in_png(UNREADABLE_EXIF[kind], path=tmp_path / "odd.png")
    assert np.array_equal(np.asarray(read_image(path)), PIXELS)
    assert not [w for w in recwarn if issubclass(w.category, AmusedEdgeWarning)]


def text_of_many_letters() -> bytes:
    return chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(3_000_000)))


DAMAGED = {
    "EXIF with another checksum": (bad_checksum(chunk(b"eXIf", exif(6))), b""),
    "a profile with another checksum": (bad_checksum(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"x"))), b""),
    "a profile that ends at once": (chunk(b"iCCP", b"x\0"), b""),
    "such a profile behind the pixels": (b"", chunk(b"iCCP", b"x\0")),
    "a profile packed in another way": (chunk(b"iCCP", b"x\0\7" + b"profile"), b""),
    "a text of megabytes": (text_of_many_letters(), b""),
    "a text behind the pixels": (b"", text_of_many_letters()),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_png_with_damaged_extras_is_read_without_them(kind: str, tmp_path: Path) -> None:
    before, behind = DAMAGED[kind]
    path = in_png(before, behind=behind, path=tmp_path / "odd.png")
    with pytest.warns(AmusedEdgeWarning, match=r"beside the pixels of .*odd\.png is damaged and was ignored"):
        assert np.array_equal(np.asarray(read_image(path)), PIXELS)


def test_damage_beside_an_orientation_leaves_it(tmp_path: Path) -> None:
    path = in_png(chunk(b"eXIf", exif(6)), text_of_many_letters(), path=tmp_path / "odd.png")
    with pytest.warns(AmusedEdgeWarning, match="was ignored"):
        assert np.array_equal(np.asarray(read_image(path)), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7])
def test_cut_off_pictures_are_one_line(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(OptionsError, match=r"cut.* cannot be read as a picture: .") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_damaged_pixels_stay_an_error(tmp_path: Path) -> None:
    path = in_png(path=tmp_path / "odd.png")
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(OptionsError, match="cannot be read as a picture"):
        read_image(path)
    path.write_bytes(SIGNATURE)
    with pytest.raises(OptionsError, match="cannot be read as a picture"):
        read_image(path)
