"""Which files are looked at as pictures."""

import os
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.opening import open_picture

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n4 4 scale\nshowpage\n%%EOF\n"


def test_no_program_is_started_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EPS files were handed to Ghostscript, if there was one."""
    from PIL import EpsImagePlugin

    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    (tmp_path / "picture.png").write_bytes(EPS)
    with pytest.raises(OptionsError, match="cannot be read as a picture"):
        open_picture(tmp_path / "picture.png")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA", "ICO"])
def test_what_people_have_is_read(kind: str, tmp_path: Path) -> None:
    colour = (200, 40, 40)
    content = BytesIO()
    Image.new("RGB", (32, 32), colour).save(content, format=kind)
    file = tmp_path / "picture"
    file.write_bytes(content.getvalue())
    pixel = open_picture(file).convert("RGB").getpixel((16, 16))
    assert isinstance(pixel, tuple)
    assert max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 4
