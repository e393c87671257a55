"""Odd pictures on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command import fails, run
from tests.support.picture_files import GREY, chunk, png


def large(path: Path) -> None:
    Image.new("1", (9500, 9500)).save(path)


def odd_exif(path: Path) -> None:
    directory = b"\1\0" + b"\x0f\1\2\0\x0f\x27\0\0\x70\x11\1\0" + bytes(4)
    path.write_bytes(png(2, 8, GREY, b"\0\0", chunk(b"eXIf", b"II*\0\x08\0\0\0" + directory)))


@pytest.mark.parametrize("make", [large, odd_exif])
def test_what_a_library_warns_of_is_not_shown(make: Callable[[Path], None], demo_bundle: Path, tmp_path: Path) -> None:
    """Its warnings came through with lines of its source; the mask has the wrong size, which ends the command soon."""
    make(tmp_path / "mask.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "fox.png")
    command = ("generate", demo_bundle, "a fox", "--image", "fox.png", "--mask", "mask.png")
    fails(run(*command, cwd=tmp_path), 2, "give a mask of the picture's size")
