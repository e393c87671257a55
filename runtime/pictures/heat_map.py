"""How sure the model was of each token, laid over the picture."""

import numpy as np

from amused_edge.runtime.arrays import BoolArray, FloatArray, ImageArray
from amused_edge.runtime.errors import OptionsError

_COLOURS = np.array([[33, 16, 92], [156, 40, 128], [232, 83, 74], [252, 168, 60], [252, 250, 190]], np.float32)
"""From unsure, dark, to sure, bright; even steps of lightness, so it reads in grey and to colour-blind eyes."""

_HIDDEN = np.array([128, 128, 128], np.float32)


def heat_map(image: ImageArray, probability: FloatArray, mask: BoolArray | None = None) -> ImageArray:
    """Colour a picture by the probability of its tokens, as in `Step`.

    Parameters
    ----------
    image
        (H, W, 3); H and W are multiples of h and w.
    probability
        (h, w) float32 in [0, 1].
    mask
        (h, w) bool of tokens that are still masked, which turn grey; None: none is.

    Returns
    -------
    (H, W, 3) uint8: the picture's lightness under the colours.
    """
    (height, width), (rows, columns) = image.shape[:2], probability.shape
    if height % rows or width % columns:
        raise OptionsError(f"a picture of {width}x{height} pixels does not lie on {columns}x{rows} tokens")
    place = np.clip(probability, 0.0, 1.0) * (len(_COLOURS) - 1)
    low = np.minimum(place.astype(np.int64), len(_COLOURS) - 2)
    part = (place - low)[:, :, None]
    colours = _COLOURS[low] * (1 - part) + _COLOURS[low + 1] * part
    if mask is not None:
        colours[mask] = _HIDDEN
    colours = colours.repeat(height // rows, 0).repeat(width // columns, 1)
    lightness = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    mixed: ImageArray = np.rint(0.65 * colours + 0.35 * lightness[:, :, None]).astype(np.uint8)
    return mixed
