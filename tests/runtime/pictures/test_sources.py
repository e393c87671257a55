"""Pictures and masks that callers give: any kind, any size."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import read_parameters
from amused_edge.runtime.pictures.heat_map import heat_map
from amused_edge.runtime.pictures.masks import paste_back, pixel_mask, token_mask
from amused_edge.runtime.pictures.sources import Fit, fit_image, read_image, read_mask
from tests.support.picture_files import SIGNATURE, chunk

RED = (255, 0, 0)


def red(mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new("RGB", size, RED).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_every_kind_of_picture_becomes_rgb(mode: str) -> None:
    image = read_image(red(mode))
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (6, 4), RED)


@pytest.mark.parametrize(("mode", "level"), [("1", 255), ("L", 200), ("I;16", 200 * 257), ("LA", 200)])
def test_grey_levels_are_kept(mode: str, level: int) -> None:
    value = (level, 255) if mode == "LA" else level
    image = read_image(Image.new(mode, (2, 2), value))
    expected = 255 if mode == "1" else 200
    assert image.getpixel((0, 0)) == (expected,) * 3


def test_what_is_transparent_lies_on_white() -> None:
    assert read_image(Image.new("RGBA", (2, 2), (0, 0, 255, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert read_image(Image.new("RGBA", (2, 2), (0, 0, 255, 255))).getpixel((0, 0)) == (0, 0, 255)
    half = read_image(Image.new("RGBA", (2, 2), (0, 0, 0, 128))).getpixel((0, 0))
    assert half == (127, 127, 127)


def test_a_transparent_palette_png_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png").getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 4), "blue")
    image.paste(RED, (0, 0, 8, 1))  # what is above lies to the right after a quarter turn clockwise
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    turned = read_image(str(tmp_path / "turned.png"))
    assert turned.size == (4, 8)
    assert turned.getpixel((3, 4)) == RED
    assert turned.getpixel((0, 4)) == (0, 0, 255)


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 6, 3), 128, np.uint8),
        np.full((4, 6, 4), [128, 128, 128, 255], np.uint8),
        np.full((4, 6), 128, np.uint8),
        np.full((4, 6, 1), 128, np.uint8),
        np.full((4, 6, 3), 128 / 255, np.float32),
        np.full((4, 6), 128 / 255, np.float64),
        np.full((8, 6, 3), 128, np.uint8)[::2],
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays(array: Any) -> None:
    image = read_image(array)
    assert image.size == (6, 4)
    assert image.getpixel((5, 3)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 6, 2), np.uint8), "shape"),
        (np.zeros((0, 6, 3), np.uint8), "shape"),
        (np.zeros((1, 4, 6, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((4, 6, 3), np.int64), "int64"),
        (np.full((4, 6, 3), 1.5), "within 0 to 1"),
        (np.full((4, 6, 3), np.nan), "within 0 to 1"),
    ],
)
def test_other_arrays_are_refused(array: Any, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        read_image(array)


def test_a_file_of_more_pixels_than_pillow_takes_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "good.png")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    (tmp_path / "large.png").write_bytes(SIGNATURE + header + (tmp_path / "good.png").read_bytes()[33:])
    with pytest.raises(OptionsError, match=r"large\.png is too large .*900000000 pixels.*; scale it down first"):
        read_image(tmp_path / "large.png")
    with pytest.raises(OptionsError, match=r"large\.png cannot be read"):
        read_parameters(tmp_path / "large.png")


def test_parameters_are_read_without_the_pixels(tmp_path: Path) -> None:
    """They were decoded, as many as a small file says: up to more than 256 MB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9400, 9400, 8, 2, 0, 0, 0))
    large = chunk(b"tEXt", bytes(2**24 + 1))
    text = chunk(b"iTXt", b"amused-edge\0\1\0\0\0" + zlib.compress('{"a": "é"}'.encode()))
    path = tmp_path / "large.png"
    path.write_bytes(b"".join([SIGNATURE, header, large, chunk(b"IDAT", b"none"), text, chunk(b"IEND", b"")]))
    assert read_parameters(path) == '{"a": "é"}'
    for end in (3, 8, 20, len(path.read_bytes()) - 12, len(path.read_bytes()) - 20):
        (tmp_path / "cut.png").write_bytes(path.read_bytes()[:end])
        with pytest.raises(OptionsError, match=r"cut\.png cannot be read as a PNG"):
            read_parameters(tmp_path / "cut.png")


@pytest.mark.parametrize("mode", ["La", "RGBa", "LAB", "HSV", "YCbCr"])
def test_rare_modes_of_pillow_are_read(mode: str) -> None:
    assert read_image(Image.new(mode, (2, 2))).mode == "RGB"
    assert read_mask(Image.new(mode, (2, 2))).mode == "L"


@pytest.mark.parametrize("mode", ["I", "F"])
def test_levels_of_unknown_range_are_refused(mode: str) -> None:
    with pytest.raises(OptionsError, match="unknown range"):
        read_image(Image.new(mode, (2, 2)))


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    Image.new("RGB", (64, 64)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    for name in ("text.png", "cut.png"):
        with pytest.raises(OptionsError, match="cannot be read as a picture"):
            read_image(tmp_path / name)
    with pytest.raises(OptionsError, match="does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(OptionsError, match="list"):
        read_image([1, 2])  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="0x4 pixels"):
        read_image(Image.new("RGB", (0, 4)))


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (10_000, 3), (65, 64), (7, 13), (64, 64)])
def test_any_size_is_brought_to_the_bundles(size: tuple[int, int], how: Fit) -> None:
    fitted = fit_image(Image.new("RGB", size, RED), 64, 32, how)
    assert (fitted.size, fitted.mode) == ((64, 32), "RGB")
    assert (np.asarray(fitted) == RED).all(axis=2).any()


def test_cropping_keeps_the_middle_and_padding_keeps_all() -> None:
    image = Image.new("RGB", (96, 32), "blue")
    image.paste(RED, (32, 0, 64, 32))
    cropped = np.asarray(fit_image(image, 32, 32, "crop"))
    assert (cropped == RED).all()
    padded = fit_image(image, 96, 96, "pad")
    assert padded.getpixel((48, 0)) == (128, 128, 128)
    assert padded.getpixel((48, 48)) == RED
    assert padded.getpixel((2, 48)) == (0, 0, 255)


def test_exact_refuses_other_proportions() -> None:
    assert fit_image(Image.new("RGB", (128, 64)), 64, 32, "exact").size == (64, 32)
    with pytest.raises(OptionsError, match="other proportions"):
        fit_image(Image.new("RGB", (64, 64)), 64, 32, "exact")


def test_a_mask_is_read_as_grey_levels() -> None:
    assert read_mask(np.array([[True, False]])).tobytes() == bytes([255, 0])
    assert read_mask(Image.new("RGB", (1, 1), "white")).tobytes() == bytes([255])
    assert read_mask(np.array([[127, 128]], np.uint8)).tobytes() == bytes([127, 128])


def test_tokens_covered_by_half_or_by_any_pixel() -> None:
    """Byte 128 repaints, 127 keeps; a lone pixel counts for "any" alone."""
    mask = np.zeros((8, 16), np.uint8)
    mask[0:4, 0:4] = 128
    mask[0:4, 4:8] = 127
    mask[7, 15] = 255
    image = Image.fromarray(mask)
    assert pixel_mask(image).sum() == 17
    # Filtering rings at the edges, as in the reference, so only what is far from 128 is asked of it.
    flat = Image.fromarray(np.full((8, 16), 128, np.uint8))
    assert token_mask(flat, 2, 4, "half").all()
    assert not token_mask(Image.fromarray(np.full((8, 16), 127, np.uint8)), 2, 4, "half").any()
    assert np.argwhere(token_mask(image, 2, 4, "any")).tolist() == [[0, 0], [1, 3]]
    assert not token_mask(image, 2, 4, "half")[1, 3]


@pytest.mark.parametrize("feather", [0, 1, 4, 40, 256])
def test_pasting_back_leaves_the_kept_pixels_untouched(feather: int) -> None:
    rng = np.random.default_rng(0)
    drawn, original = rng.integers(0, 256, (2, 32, 48, 3), np.uint8)
    repaint = np.zeros((32, 48), bool)
    repaint[:, 20:] = True
    mixed = paste_back(drawn, original, repaint, feather)
    assert np.array_equal(mixed[~repaint], original[~repaint])
    assert np.array_equal(mixed[:, -1], drawn[:, -1])
    if feather < 8:
        assert np.array_equal(mixed[:, -8:], drawn[:, -8:])


def test_a_feather_does_not_hide_what_is_narrow() -> None:
    repaint = np.zeros((32, 32), bool)
    repaint[12:16, 12:16] = True
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    mixed = paste_back(white, black, repaint, 16)
    assert mixed[13, 13, 0] == 255
    assert 0 < mixed[12, 13, 0] < 255


def test_a_feather_rises_from_the_edge() -> None:
    repaint = np.zeros((16, 64), bool)
    repaint[:, 32:] = True
    black, white = np.zeros((16, 64, 3), np.uint8), np.full((16, 64, 3), 255, np.uint8)
    row = paste_back(white, black, repaint, 8)[8, 32:, 0].astype(int)
    assert (np.diff(row) >= 0).all()
    np.testing.assert_allclose(row[:9], np.arange(1, 10) / 9 * 255, atol=1)
    assert (row[9:] == 255).all()


def test_a_heat_map_is_darker_where_the_model_is_unsure() -> None:
    image = np.full((8, 12, 3), 128, np.uint8)
    probability = np.array([[0.0, 0.5, 1.0]], np.float32)
    mapped = heat_map(image, probability)
    lightness = mapped[0].astype(float).mean(axis=1)
    assert mapped.shape == image.shape
    assert lightness[0] < lightness[4] < lightness[8]
    hidden = heat_map(image, probability, np.array([[True, False, False]]))
    assert np.unique(hidden[:, :4]).tolist() == [128]
    assert np.array_equal(hidden[:, 4:], mapped[:, 4:])
    with pytest.raises(OptionsError, match="5x8 pixels"):
        heat_map(np.zeros((8, 5, 3), np.uint8), probability)
