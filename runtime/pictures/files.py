"""PNG files, written whole or not at all, with the parameters of their picture inside."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image, PngImagePlugin

from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.bundle.places import check_new_file
from amused_edge.runtime.errors import OptionsError, first_line
from amused_edge.runtime.pictures.png_chunks import text_of_png
from amused_edge.runtime.system.whole_file import whole_file

_KEYWORD = "amused-edge"
"""Of the text chunk that holds the parameters."""


def write_png(image: ImageArray, path: Path, parameters: str = "") -> None:
    """Write one picture; the file appears complete or not at all.

    Parameters
    ----------
    parameters
        How the picture was drawn, as JSON; put into the file's text where it is not empty.

    Raises
    ------
    OptionsError
        The name does not end in .png, or its folder does not exist or cannot be written to.
    OutputExistsError
        The file exists.
    """
    _write(path, [image], {"pnginfo": extras(parameters)})


def encode_png(image: ImageArray, parameters: str = "") -> bytes:
    """Return the content of the file that `write_png` writes."""
    content = io.BytesIO()
    _save(content, [image], {"pnginfo": extras(parameters)})
    return content.getvalue()


def write_animation(frames: Sequence[ImageArray], path: Path, seconds: float) -> None:
    """Write an animated PNG that shows each frame for a time and stays longer on the last; errors as of `write_png`."""
    _write(path, frames, _animated(len(frames), seconds))


def encode_animation(frames: Sequence[ImageArray], seconds: float) -> bytes:
    """Return the content of the file that `write_animation` writes."""
    content = io.BytesIO()
    _save(content, frames, _animated(len(frames), seconds))
    return content.getvalue()


def _animated(frames: int, seconds: float) -> dict[str, Any]:
    milliseconds = [round(1000 * seconds)] * (frames - 1) + [round(4000 * seconds)]
    return {"save_all": True, "duration": milliseconds, "loop": 0, "pnginfo": extras()}


def extras(parameters: str = "") -> PngImagePlugin.PngInfo:
    """Return what stands in every PNG beside pixels: that they are sRGB, to be shown as photographs are; and how it was
    drawn, where that is known.
    """
    beside = PngImagePlugin.PngInfo()
    beside.add(b"sRGB", b"\0")
    if parameters:
        beside.add_itxt(_KEYWORD, parameters)
    return beside


def _write(path: Path, frames: Sequence[ImageArray], options: dict[str, Any]) -> None:
    check_png_path(path)
    with whole_file(path) as file:
        _save(file, frames, options)


def _save(file: IO[bytes], frames: Sequence[ImageArray], options: dict[str, Any]) -> None:
    first, *others = [Image.fromarray(frame) for frame in frames]
    if others:
        options = {**options, "append_images": others}
    first.save(file, format="PNG", **options)


def check_png_path(path: Path) -> None:
    """Raise, before any work is done, what `write_png` would raise for this path."""
    check_png_name(path)
    check_new_file(path)


def check_png_name(path: Path) -> None:
    """Raise `OptionsError` if a name does not end in .png."""
    if path.suffix.lower() != ".png":
        raise OptionsError(f"{path} does not end in .png; pictures are written as PNG")


def read_parameters(path: Path) -> str:
    """Return the parameters that `write_png` put into a file.

    Raises
    ------
    OptionsError
        The file is no PNG, or holds none.
    """
    try:
        with path.open("rb") as file:
            texts = io.BytesIO(text_of_png(file))  # it may stand behind the pixels, which are not decoded
        with Image.open(texts, formats=["PNG"]) as picture:
            text = picture.info.get(_KEYWORD)
    except Exception as error:  # a damaged file raises many kinds
        raise OptionsError(f"{path} cannot be read as a PNG: {first_line(error)}") from error
    if text is None:
        raise OptionsError(f"{path} does not say how it was drawn; only pictures that amused-edge wrote do")
    return str(text)
