"""PNG files, written whole or not at all, with the parameters of their picture inside."""

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, OutputExistsError
from amused_edge.runtime.pictures.arrays import ImageArray

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
    text = PngImagePlugin.PngInfo()
    if parameters:
        text.add_itxt(_KEYWORD, parameters)
    _write(path, [image], {"pnginfo": text})


def write_animation(frames: Sequence[ImageArray], path: Path, seconds: float) -> None:
    """Write an animated PNG that shows each frame for a time and stays longer on the last; errors as of `write_png`."""
    milliseconds = [round(1000 * seconds)] * (len(frames) - 1) + [round(4000 * seconds)]
    _write(path, frames, {"save_all": True, "duration": milliseconds, "loop": 0})


def _write(path: Path, frames: Sequence[ImageArray], options: dict[str, Any]) -> None:
    check_png_path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    first, *others = [Image.fromarray(frame) for frame in frames]
    if others:
        options = {**options, "append_images": others}
    try:
        with partial.open("xb") as file:
            first.save(file, format="PNG", **options)
        _move_to_free_place(partial, path)
    except FileExistsError as error:
        raise OutputExistsError(f"{path} exists; choose another name or remove it") from error
    except OSError as error:
        raise AmusedEdgeError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _move_to_free_place(source: Path, path: Path) -> None:
    """Like a rename, but refuses a file that came meanwhile."""
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        check_png_path(path)
        source.rename(path)


def check_png_path(path: Path) -> None:
    """Raise, before any work is done, what `write_png` would raise for this path."""
    if path.suffix.lower() != ".png":
        raise OptionsError(f"{path} does not end in .png; pictures are written as PNG")
    if not path.parent.is_dir():
        raise OptionsError(f"folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OptionsError(f"folder {path.parent} cannot be written to; choose another one")
    if path.exists():
        raise OutputExistsError(f"{path} exists; choose another name or remove it")


def read_parameters(path: Path) -> str:
    """Return the parameters that `write_png` put into a file.

    Raises
    ------
    OptionsError
        The file is no PNG, or holds none.
    """
    try:
        with Image.open(path, formats=["PNG"]) as file:
            file.load()  # text may stand behind the pixels
            text = getattr(file, "text", {}).get(_KEYWORD)
    except (OSError, SyntaxError, ValueError) as error:
        raise OptionsError(f"{path} cannot be read as a PNG: {error}") from error
    if text is None:
        raise OptionsError(f"{path} does not say how it was drawn; only pictures that amused-edge wrote do")
    return str(text)
