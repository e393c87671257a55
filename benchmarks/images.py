"""How far one picture is from another. Pictures are uint8 or floats in [0, 255]; arithmetic is in float64."""

import math

import numpy as np
from numpy.typing import ArrayLike

PEAK = 255.0


def psnr(reference: ArrayLike, other: ArrayLike) -> float:
    """Return the peak signal-to-noise ratio in dB, infinite for equal pictures: `10 log10(255^2 / MSE)`.

    Raises `ValueError` where shapes differ.
    """
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")
    error = float(np.mean((a - b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)
