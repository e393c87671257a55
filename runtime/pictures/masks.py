"""Masks of in-painting: which tokens are drawn anew, and how the untouched pixels are pasted back."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from amused_edge.runtime.arrays import BoolArray, ImageArray

Coverage = Literal["half", "any"]
COVERAGES: tuple[str, ...] = get_args(Coverage)

_HALF = 128
"""The least grey level that means repaint."""


def token_mask(mask: Image.Image, height: int, width: int, coverage: Coverage) -> BoolArray:
    """Return the tokens to draw anew, (height, width) bool, from a grey mask of the picture's size.

    "half" asks for a level of 128 or more after Lanczos filtering to the grid, as the reference does for grey masks;
    "any" takes every token with at least one such pixel.
    """
    if coverage == "half":
        return np.asarray(mask.resize((width, height), Image.Resampling.LANCZOS)) >= _HALF
    pixels = pixel_mask(mask)
    cells = pixels.reshape(height, pixels.shape[0] // height, width, -1)
    return np.asarray(cells.any(axis=(1, 3)))


def pixel_mask(mask: Image.Image) -> BoolArray:
    """Return the pixels to repaint, (H, W) bool."""
    return np.asarray(mask) >= _HALF


def paste_back(drawn: ImageArray, original: ImageArray, repaint: BoolArray, feather: int) -> ImageArray:
    """Return `drawn` where `repaint` is set, and `original` to the pixel elsewhere.

    Parameters
    ----------
    drawn, original
        (H, W, 3).
    repaint
        (H, W) bool.
    feather
        Width in pixels, 0 to 256, over which the original fades out; it lies within the repainted part, and is
        narrower where that is.
    """
    weight = repaint.astype(np.float32)
    if feather:
        depth = _depth(repaint, feather + 1)
        weight = depth / np.float32(max(1, depth.max()))
    mixed = original + weight[:, :, None] * (drawn.astype(np.float32) - original)
    return np.rint(mixed).astype(np.uint8)


def _depth(repaint: BoolArray, most: int) -> NDArray[np.float32]:
    """Return how many pixels each lies inside the mask, 0 outside and at most `most`; a border of the picture is no
    edge.
    """
    depth = np.zeros(repaint.shape, np.float32)
    levels = Image.fromarray(repaint.astype(np.uint8) * np.uint8(255))
    for _ in range(most):
        depth += np.asarray(levels, bool)
        levels = levels.filter(ImageFilter.MinFilter(3))
    return depth
