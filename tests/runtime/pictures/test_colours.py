"""Colour profiles of pictures: what they say is what comes in, in sRGB."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from amused_edge.runtime import AmusedEdgeWarning, AmusedPipeline, Inpainting
from amused_edge.runtime.pictures import write_animation, write_png
from amused_edge.runtime.pictures.sources import read_image, read_mask
from tests.support.drawn import OTHER, QUICK, SIDE, right_half
from tests.support.picture_files import grey_profile, ink_profile, matrix_profile, profile

SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
PROPHOTO = np.array([[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]])
"""Red, green and blue in XYZ under D50, as the specifications give them."""

CLOSE = 1.6
"""Levels: half a one of rounding, one of fixed-point arithmetic in the library."""

WIDE = {"adobe": (ADOBE, 563 / 256), "prophoto": (PROPHOTO, 1.8)}


def bytes_of(name: str) -> bytes:
    matrix, gamma = WIDE[name]
    return matrix_profile([tuple(column) for column in matrix.T], gamma)


def srgb_levels(linear: Any) -> Any:
    linear = np.clip(linear, 0.0, 1.0)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def expected(pixels: Any, name: str) -> Any:
    """The transform by its definition, in float64."""
    matrix, gamma = WIDE[name]
    return srgb_levels((pixels / 255.0) ** gamma @ matrix.T @ np.linalg.inv(SRGB).T)


def colours(side: int = SIDE) -> Any:
    return np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", WIDE)
def test_wide_colours_are_brought_to_srgb(name: str, tmp_path: Path) -> None:
    """They were read as if they were sRGB, and pictures came out duller."""
    path = saved(Image.fromarray(colours()), tmp_path / "wide.png", icc_profile=bytes_of(name))
    found = np.asarray(read_image(path), np.float64)
    assert np.abs(found - expected(colours(), name)).max() <= CLOSE
    assert np.abs(found - colours()).mean() > 5


@pytest.mark.parametrize(("suffix", "options"), [("webp", {"lossless": True}), ("tiff", {}), ("jpg", {"quality": 95})])
def test_every_format_carries_its_profile(suffix: str, options: dict[str, Any], tmp_path: Path) -> None:
    flat = np.full((SIDE, SIDE, 3), (60, 180, 40), np.uint8)
    path = saved(Image.fromarray(flat), tmp_path / f"wide.{suffix}", icc_profile=bytes_of("adobe"), **options)
    with Image.open(path) as stored:
        pixels = np.asarray(stored.convert("RGB"))
    assert np.abs(np.asarray(read_image(path)) - expected(pixels, "adobe")).max() <= CLOSE


def test_a_pil_image_carries_its_profile_and_is_left_as_it_is() -> None:
    image = Image.fromarray(colours())
    image.info["icc_profile"] = bytes_of("adobe")
    once = read_image(image)
    assert np.abs(np.asarray(once, np.float64) - expected(colours(), "adobe")).max() <= CLOSE
    assert np.array_equal(np.asarray(image), colours())
    assert image.info["icc_profile"] == bytes_of("adobe")
    assert np.array_equal(np.asarray(read_image(once)), np.asarray(once)), "converted twice"


def test_transparency_stays_beside_converted_colours() -> None:
    """Colours are converted first, then laid on white."""
    image = Image.fromarray(np.dstack([colours(), np.full((SIDE, SIDE), 102, np.uint8)]))
    image.info["icc_profile"] = bytes_of("adobe")
    mixed = 0.4 * expected(colours(), "adobe") + 0.6 * 255
    assert np.abs(np.asarray(read_image(image), np.float64) - mixed).max() <= CLOSE


def test_a_palette_is_converted_too() -> None:
    image = Image.fromarray(colours(8)).quantize(16)
    pixels = np.asarray(image.convert("RGB"))
    image.info["icc_profile"] = bytes_of("adobe")
    assert np.abs(np.asarray(read_image(image), np.float64) - expected(pixels, "adobe")).max() <= CLOSE


@pytest.mark.parametrize("kind", ["L", "LA", "I;16"])
@pytest.mark.parametrize("source", [grey_profile(1.0), matrix_profile([tuple(c) for c in SRGB.T], 1.0)])
def test_grey_levels_are_converted_by_profiles_of_grey_and_of_colour(kind: str, source: bytes) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(levels) if kind != "I;16" else Image.fromarray(levels.astype(np.uint16) * 257)
    image = image.convert("LA") if kind == "LA" else image
    image.info["icc_profile"] = source
    wanted = srgb_levels(levels / 255.0)
    assert np.abs(np.asarray(read_image(image), np.float64) - wanted[..., None]).max() <= CLOSE
    assert np.abs(np.asarray(read_mask(image), np.float64) - wanted).max() <= 2.01  # rounded once more


def test_inks_are_converted_by_their_profile_and_without_one_as_before(tmp_path: Path) -> None:
    """The profile's lightness is 100 for paper, 50 for a colour: grey 119 in sRGB; black stays black."""
    inks = np.array([[(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 255)]], np.uint8)
    image = Image.fromarray(inks, "CMYK")
    plain = np.asarray(read_image(image))
    assert plain.tolist() == [[[255, 255, 255], [0, 255, 255], [255, 0, 255], [0, 0, 0]]]
    path = saved(image, tmp_path / "inks.tif", icc_profile=ink_profile())
    found = np.asarray(read_image(path), np.int16)
    assert np.abs(found - np.array([255, 119, 119, 0])[None, :, None]).max() <= 2


def test_pictures_in_srgb_keep_every_pixel() -> None:
    """An sRGB profile, also one whose curve is a table of rounded numbers, moves nothing."""
    levels = np.linspace(0.0, 1.0, 1024)
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + (1024).to_bytes(4) + np.rint(65535 * table).astype(">u2").tobytes()
    tags = {name: xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), SRGB.T, strict=True)}
    tabled = profile(b"RGB ", b"mntr", {**tags, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})
    for source in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), tabled):
        image = Image.fromarray(colours())
        image.info["icc_profile"] = source
        assert np.array_equal(np.asarray(read_image(image)), colours())


def xyz_tag(xyz: Any) -> bytes:
    return b"XYZ \0\0\0\0" + np.rint(np.asarray(xyz) * 65536).astype(">i4").tobytes()


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize("broken", [b"x", b"\0" * 200, bytes_of("adobe")[:150], LAB, grey_profile(1.0), ink_profile()])
def test_a_profile_that_cannot_be_used_is_ignored_with_a_note(broken: bytes, tmp_path: Path) -> None:
    """Damaged, cut off, or of another kind than the picture, as `Image.convert` leaves it behind."""
    path = saved(Image.fromarray(colours()), tmp_path / "odd.png", icc_profile=broken)
    with pytest.warns(AmusedEdgeWarning, match=r"colour profile of .*odd\.png was ignored"):
        assert np.array_equal(np.asarray(read_image(path)), colours())


def test_the_kept_half_of_an_inpainting_is_the_converted_original(pipeline: AmusedPipeline, tmp_path: Path) -> None:
    path = saved(Image.fromarray(colours()), tmp_path / "wide.png", icc_profile=bytes_of("adobe"))
    drawn = pipeline.generate(Inpainting(OTHER, path, right_half()), QUICK).images[0]
    assert np.abs(drawn[:, :32] - expected(colours(), "adobe")[:, :32]).max() <= CLOSE


def test_files_say_that_they_are_srgb(tmp_path: Path) -> None:
    write_png(colours(), tmp_path / "a.png", "{}")
    write_animation([colours(), colours() // 2], tmp_path / "b.png", 0.1)
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            assert image.info["srgb"] == 0
            assert "icc_profile" not in image.info
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), colours())
