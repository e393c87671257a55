"""Small pictures and masks that a rule describes, so that no file must hold their pixels."""

from typing import Any

import numpy as np
from PIL import Image

from amused_edge.conformance.vector_set import Values
from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.sampling.philox import Purpose, uniforms


def picture(rule: Values) -> ImageArray:
    """Return (H, W, 3) or, where its colours are single levels, (H, W) uint8.

    Parameters
    ----------
    rule
        `size` [H, W] and either `seed` and `channels`: byte i, row by row, channels last, is the numerator of number i
        of the stream (seed, 0, 0, purpose 2), shifted right by 16; or `background` and `rectangles`, each
        [left, top, right, bottom, colour], right and bottom not included, the later ones on top.
    """
    height, width = rule["size"]
    if "seed" in rule:
        shape = (height, width) if rule["channels"] == 1 else (height, width, rule["channels"])
        count = height * width * rule["channels"]
        noise = uniforms(count, seed=int(rule["seed"]), picture=0, step=0, purpose=Purpose.START_MASK)
        levels: ImageArray = np.floor(noise * np.float32(256)).astype(np.uint8)
        return levels.reshape(shape)
    background = rule["background"]
    flat = np.empty((height, width, 3) if isinstance(background, list) else (height, width), np.uint8)
    flat[:] = background
    for left, top, right, bottom, colour in rule["rectangles"]:
        flat[top:bottom, left:right] = colour
    return flat


def image(rule: Values) -> Image.Image:
    """Return it as a PIL image: RGB, or L."""
    return Image.fromarray(picture(rule))


def pixels(array: Any) -> list[int]:
    """Return pixels as a flat list, row by row, channels last."""
    return [int(level) for level in np.asarray(array).reshape(-1)]
