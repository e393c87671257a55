"""Several pictures laid out on one, with captions."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.captions import Captions

_GAP = 6
"""Pixels between pictures."""


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
        One per picture, set below it in lines, in any script that a font of this machine has; none leaves no room
        for them.
    """
    if not images or min(columns, scale) < 1 or len(captions) not in (0, len(images)):
        raise OptionsError(
            f"a sheet of {len(images)} pictures with {len(captions)} captions in {columns} columns at scale {scale}: "
            "give at least one picture, column and scale, and no captions or one per picture"
        )
    height, width = (side * scale for side in images[0].shape[:2])
    columns = min(columns, len(images))
    texts = Captions(captions, width)
    cell_height = height + _GAP + texts.height
    cell_width = width + _GAP
    rows = -(-len(images) // columns)
    size = (columns * cell_width + _GAP, rows * cell_height + _GAP)
    sheet = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left, top = _GAP + column * cell_width, _GAP + row * cell_height
        sheet.paste(Image.fromarray(image.repeat(scale, 0).repeat(scale, 1)), (left, top))
        if captions:
            texts.draw(sheet, index, left, top + height)
    return np.asarray(sheet)
