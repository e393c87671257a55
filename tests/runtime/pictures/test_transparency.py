"""Transparent pictures lie on white and transparent masks on black, as a viewer shows a hole."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import AmusedPipeline, Inpainting
from amused_edge.runtime.pictures.sources import read_image, read_mask
from tests.support.drawn import OTHER, SIDE, right_half
from tests.support.picture_files import GREY, PALETTE, RGB, chunk, png

ALPHA = np.array([[0, 51, 128, 255]], np.uint8)
"""Of four white pixels."""

ON_BLACK, ON_WHITE = [0, 51, 128, 255], [255] * 4


def white(mode: str) -> Image.Image:
    image = Image.merge("RGBA", [Image.new("L", (4, 1), 255)] * 3 + [Image.fromarray(ALPHA)])
    if mode == "PA":
        image = Image.merge("LA", [Image.new("L", (4, 1), 7), Image.fromarray(ALPHA)])
        image.putpalette([255] * 768)  # makes it PA
        return image
    if mode == "P":
        image = Image.fromarray(np.arange(4, dtype=np.uint8)[None])
        image.putpalette([255] * 768)
        image.info["transparency"] = ALPHA.tobytes()
        return image
    return image.convert({"LA": "LA", "La": "LA"}.get(mode, "RGBA")).convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGBa", "La"])
def test_hidden_pixels_of_a_mask_are_kept(mode: str) -> None:
    """They counted as bright, whatever lay under them, and everything was repainted."""
    assert np.abs(np.asarray(read_mask(white(mode)), np.int16)[0] - ON_BLACK).max() <= 1
    assert np.asarray(read_image(white(mode))).reshape(-1).tolist() == ON_WHITE * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_files_hide_pixels_as_pil_images_do(mode: str, tmp_path: Path) -> None:
    image = white(mode)
    image.save(tmp_path / "mask.png")
    assert np.asarray(read_mask(str(tmp_path / "mask.png")))[0].tolist() == ON_BLACK


def test_arrays_hide_pixels_as_pil_images_do() -> None:
    mask = np.dstack([np.full((1, 4, 3), 255, np.uint8), ALPHA])
    assert np.asarray(read_mask(mask))[0].tolist() == ON_BLACK
    assert np.asarray(read_mask(mask / 255.0))[0].tolist() == ON_BLACK
    assert np.asarray(read_image(mask)).reshape(-1).tolist() == ON_WHITE * 3


def key(*levels: int) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))


KEYED = {
    "1 bit": png(2, 1, GREY, b"\x80", key(1)),
    "2 bits": png(2, 2, GREY, b"\xc0", key(3)),
    "4 bits": png(2, 4, GREY, b"\xf0", key(15)),
    "8 bits": png(2, 8, GREY, b"\xff\0", key(255)),
    "16 bits": png(2, 16, GREY, b"\xff\xff\0\0", key(65535)),
    "colours": png(2, 8, RGB, b"\xff" * 3 + bytes(3), key(255, 255, 255)),
    "colours of 16 bits": png(2, 16, RGB, b"\xff\x12" * 3 + bytes(6), key(*[0xFF12] * 3)),
    "palette": png(2, 8, PALETTE, b"\1\0", chunk(b"PLTE", bytes(3) + b"\xff" * 3), chunk(b"tRNS", b"\xff\0")),
    "palette of 2 bits": png(2, 2, PALETTE, b"\x40", chunk(b"PLTE", bytes(3) + b"\xff" * 3), chunk(b"tRNS", b"\xff\0")),
}
"""A white pixel that is transparent because of its level, and a black one that is not."""


@pytest.mark.parametrize("kind", KEYED)
def test_a_transparent_colour_hides_its_pixels(kind: str, tmp_path: Path) -> None:
    """Levels of 2, 4 and 16 bits were compared with those of 8, and hid nothing."""
    (tmp_path / "keyed.png").write_bytes(KEYED[kind])
    assert np.asarray(read_mask(tmp_path / "keyed.png"))[0].tolist() == [0, 0]
    assert np.asarray(read_image(tmp_path / "keyed.png"))[0].tolist() == [[255] * 3, [0] * 3]
    inverted = png(2, 8, GREY, b"\xff\0", key(0))
    (tmp_path / "inverted.png").write_bytes(inverted)
    assert np.asarray(read_mask(tmp_path / "inverted.png"))[0].tolist() == [255, 0]
    assert np.asarray(read_image(tmp_path / "inverted.png"))[0].tolist() == [[255] * 3] * 2


def test_of_an_animation_the_first_picture_is_read(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (2, 2), "red"), Image.new("RGB", (2, 2), "blue")
    for name, mode in (("a.gif", "P"), ("a.png", "RGB"), ("a.webp", "RGB")):
        options: dict[str, Any] = {"save_all": True, "append_images": [blue.convert(mode)], "duration": 100}
        red.convert(mode).save(tmp_path / name, **options, **({"lossless": True} if mode == "RGB" else {}))
        assert read_image(tmp_path / name).getpixel((0, 0)) == (255, 0, 0)


def test_a_mask_whose_left_half_is_transparent_repaints_the_right_one(pipeline: AmusedPipeline, fox: Any) -> None:
    white_everywhere = np.dstack([np.full((SIDE, SIDE, 3), 255, np.uint8), right_half()])
    (state,) = pipeline.begin(Inpainting(OTHER, fox, white_everywhere))
    (expected,) = pipeline.begin(Inpainting(OTHER, fox, right_half()))
    assert np.array_equal(state.tokens, expected.tokens)
    assert state.starting_mask_ratio == 0.5
