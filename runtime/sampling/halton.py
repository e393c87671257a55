"""An order of a grid's positions in which every beginning is spread evenly: the two-dimensional Halton sequence.

Drawing neighbours in one step, blind to each other, is what spoils pictures of masked image models; tokens far apart
depend on each other least (Besnier et al., "Halton Scheduler for Masked Generative Image Transformer", ICLR 2025).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import IntArray

_BASES = (2, 3)
"""Of the row and of the column, as Halton chose them (Numerische Mathematik 2, 1960)."""


@lru_cache(maxsize=8)
def halton_order(height: int, width: int) -> IntArray:
    """Return all positions of a grid in the order in which the sequence first reaches them.

    Returns
    -------
    (height * width,) int64, row by row from 0; read-only. Point i of the sequence, from 1, lies in row
    `floor(inverse_2(i) * height)` and column `floor(inverse_3(i) * width)`.
    """
    count = height * width
    while True:
        indices = np.arange(1, count + 1)
        rows = np.floor(radical_inverse(indices, _BASES[0]) * height).astype(np.int64)
        columns = np.floor(radical_inverse(indices, _BASES[1]) * width).astype(np.int64)
        positions, first = np.unique(rows * width + columns, return_index=True)
        if len(positions) == height * width:
            order: IntArray = positions[np.argsort(first)]
            order.flags.writeable = False
            return order
        count *= 2


def radical_inverse(indices: IntArray, base: int) -> NDArray[np.float64]:
    """Mirror the digits of whole numbers at the point: in base 2, 6 = 110 becomes 0.011 = 0.375."""
    value = np.zeros(indices.shape)
    weight, rest = 1.0, indices.copy()
    while rest.any():
        weight /= base
        rest, digit = np.divmod(rest, base)
        value += digit * weight
    return value
