"""Palettes: a weight's values replaced by the nearest of a few (k-means in one dimension).

Works on the distinct values with their counts, of which halves have at most 65,536: many times fewer than weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError

ITERATIONS = 200
"""Lloyd's steps at most; few weights need a third of them."""


@dataclass(frozen=True)
class Palette:
    """Values and which of them stands where.

    Attributes
    ----------
    values
        (2^bits,) ascending, in the weight's type; where a weight has fewer distinct values, the last is repeated.
    indices
        The weight's shape, uint8.
    """

    values: NDArray[np.floating]
    indices: NDArray[np.uint8]

    def expand(self) -> NDArray[np.floating]:
        """Return the weight as the palette gives it."""
        return self.values[self.indices]


def palette(weight: NDArray[np.floating], bits: int) -> Palette:
    """Find the 2^bits values that lie nearest to a weight's, in least squares, and the nearest for each.

    Lloyd's algorithm ("Least squares quantization in PCM", 1982) from a start whose density follows the cube root of
    the weight's (Panter & Dite 1951), which is where the optimum lies for many levels.

    Parameters
    ----------
    weight
        Of any shape, float16 or float32.
    bits
        1 to 8.

    Raises
    ------
    QuantizationError
        A value is not finite.
    """
    if not np.isfinite(weight).all():
        raise QuantizationError("it has values that are not finite (NaN or infinity); repair the checkpoint")
    distinct, counts = np.unique(weight, return_counts=True)
    size = 2**bits
    if len(distinct) <= size:
        values = np.concatenate([distinct, np.repeat(distinct[-1:], size - len(distinct))])
        return Palette(values, np.searchsorted(distinct, weight).astype(np.uint8))
    points = distinct.astype(np.float64)
    centres = _lloyd(points, counts.astype(np.float64), _start(points, counts, size))
    values = np.sort(centres).astype(weight.dtype)
    nearest = np.searchsorted(_edges(values.astype(np.float64)), points).astype(np.uint8)
    return Palette(values, nearest[np.searchsorted(distinct, weight)])


def _start(points: NDArray[np.float64], counts: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Return points that share the integral of the cube root of the density equally."""
    density, edges = np.histogram(points, bins=16 * size, weights=counts)
    mass = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    wanted = (np.arange(size) + 0.5) / size * mass[-1]
    start: NDArray[np.float64] = np.interp(wanted, mass, edges)
    return start


def _lloyd(
    points: NDArray[np.float64], counts: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move centres (ascending) to the means of what lies nearest to them until none moves."""
    weights = np.concatenate([[0.0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(counts * points)])
    for _ in range(ITERATIONS):
        ends = np.searchsorted(points, _edges(centres))
        first, last = np.concatenate([[0], ends]), np.concatenate([ends, [len(points)]])
        mass = weights[last] - weights[first]
        moved = np.where(mass > 0, (sums[last] - sums[first]) / np.maximum(mass, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = (centres[1:] + centres[:-1]) / 2
    return edges
