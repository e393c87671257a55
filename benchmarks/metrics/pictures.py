"""How far one picture is from another. Pictures are uint8 or floats in [0, 255]; arithmetic is in float64.

`ValueError` is raised where shapes differ.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

PEAK = 255.0

_SIGMA = 1.5
_RADIUS = 5
_K1, _K2 = 0.01, 0.03


def psnr(reference: ArrayLike, other: ArrayLike) -> float:
    """Return the peak signal-to-noise ratio in dB, infinite for equal pictures: `10 log10(255^2 / MSE)`.

    Several pictures in one array share one mean squared error.
    """
    return decibels(squared_error(reference, other))


def squared_error(reference: ArrayLike, other: ArrayLike) -> float:
    """Return the mean squared error of the pixels' values."""
    a, b = _pair(reference, other)
    return float(np.mean((a - b) ** 2))


def decibels(error: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error."""
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def has_ssim(shape: Sequence[int]) -> bool:
    """Return whether pictures of this shape, (H, W) or (H, W, C), have an SSIM: its window must fit into them."""
    return min(shape[:2]) > 2 * _RADIUS


def ssim(reference: ArrayLike, other: ArrayLike) -> float:
    """Return the mean structural similarity of two pictures (H, W, C) with sides of 11 pixels or more, in [-1, 1].

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004): a Gaussian window
    of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, over windows that lie wholly inside; the mean over channels.
    """
    a, b = _pair(reference, other)
    if a.ndim != 3 or not has_ssim(a.shape):
        raise ValueError(f"shape {a.shape} is not (H, W, C) with sides of {2 * _RADIUS + 1} or more")
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * PEAK) ** 2, (_K2 * PEAK) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((above / below).mean())


def _pair(reference: ArrayLike, other: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")
    return a, b


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh every window of 11 x 11 pixels by a Gaussian: (H, W, C) -> (H - 10, W - 10, C)."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(image, len(weights), axis=axis)
        image = windows @ weights
    return image
