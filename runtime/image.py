"""Pictures in and out of files. Arrays are (H, W, 3) uint8 RGB."""

import contextlib
import os
import secrets
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, OutputExistsError

ImageArray = NDArray[np.uint8]

_GAP, _LINE, _LETTER = 6, 13, 6
"""Of a contact sheet, in pixels: space between pictures, height of a caption's line, width of a letter."""


def write_png(image: ImageArray, path: Path) -> None:
    """Write one picture; the file appears complete or not at all.

    Raises
    ------
    OptionsError
        The name does not end in .png, or its folder does not exist or cannot be written to.
    OutputExistsError
        The file exists.
    """
    check_png_path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            Image.fromarray(image).save(file, format="PNG")
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


def contact_sheet(
    images: Sequence[ImageArray], columns: int, scale: int = 1, captions: Sequence[str] = ()
) -> ImageArray:
    """Lay pictures of one size out in rows on white.

    Parameters
    ----------
    images
        Each (H, W, 3).
    scale
        Enlarge each picture this many times by repeating pixels.
    captions
        One per picture, set below it in lines; none leaves no room for them.
    """
    if not images or min(columns, scale) < 1 or len(captions) not in (0, len(images)):
        raise OptionsError(
            f"a sheet of {len(images)} pictures with {len(captions)} captions in {columns} columns at scale {scale}: "
            "give at least one picture, column and scale, and no captions or one per picture"
        )
    height, width = (side * scale for side in images[0].shape[:2])
    columns = min(columns, len(images))
    texts = [textwrap.wrap(text, max(1, width // _LETTER)) or [""] for text in captions]
    cell_height = height + _GAP + _LINE * max((len(lines) for lines in texts), default=0)
    cell_width = width + _GAP
    rows = -(-len(images) // columns)
    size = (columns * cell_width + _GAP, rows * cell_height + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left, top = _GAP + column * cell_width, _GAP + row * cell_height
        sheet.paste(Image.fromarray(image.repeat(scale, 0).repeat(scale, 1)), (left, top))
        for number, line in enumerate(texts[index] if texts else ()):
            draw.text((left, top + height + number * _LINE), line, fill="black")
    return np.asarray(sheet)
