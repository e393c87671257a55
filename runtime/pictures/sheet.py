"""Several pictures laid out on one, with captions."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.arrays import ImageArray

_GAP, _LINE, _LETTER = 6, 13, 6
"""In pixels: space between pictures, height of a caption's line, width of a letter."""


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
