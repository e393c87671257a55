"""Palettes: a weight's values replaced by the nearest of a few (k-means in one dimension).

Works on the distinct values with their counts, of which halves have at most 65,536: many times fewer than weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.rounding.uniform import check_finite

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

ITERATIONS = 200
"""Lloyd's steps at most; few weights need a third of them."""

POINTS, MOST_POINTS = 8, 1024
"""Points per palette value, and at most, among which the optimum is searched before Lloyd's steps refine it."""


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

    The optimum is found by dynamic programming (Wang & Song, "Ckmeans.1d.dp", 2011) on the histogram where the values
    are many, and refined by Lloyd's algorithm ("Least squares quantization in PCM", 1982) on the values themselves.

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
    check_finite(weight)
    distinct, counts = np.unique(weight, return_counts=True)
    size = 2**bits
    if len(distinct) <= size:
        values = np.concatenate([distinct, np.repeat(distinct[-1:], size - len(distinct))])
        return Palette(values, np.searchsorted(distinct, weight).astype(np.uint8))
    values = _best(distinct.astype(np.float64), counts.astype(np.float64), size).astype(weight.dtype)
    nearest = np.searchsorted(_edges(values.astype(np.float64)), distinct.astype(np.float64)).astype(np.uint8)
    return Palette(values, nearest[np.searchsorted(distinct, weight)])


def palette_values(weight: NDArray[np.floating], bits: int, importance: NDArray[np.floating]) -> Floats:
    """Find the 2^bits values (ascending) that lie nearest to a weight's in weighted least squares.

    Parameters
    ----------
    importance
        Above 0, of a shape that is broadcast to the weight's.
    """
    distinct, places = np.unique(weight, return_inverse=True)
    size = 2**bits
    points = distinct.astype(np.float64)
    if len(points) <= size:
        return np.concatenate([points, np.repeat(points[-1:], size - len(points))])
    counts = np.bincount(places.reshape(-1), np.broadcast_to(importance, weight.shape).reshape(-1))
    return _best(points, np.maximum(counts, np.finfo(np.float64).eps * counts.max()), size)


def _best(points: Floats, counts: Floats, size: int) -> Floats:
    """Return the centres (ascending) of weighted points, the optimum of few or many."""
    start = optimal_centres(*_gathered(points, counts, min(POINTS * size, MOST_POINTS)), size)
    return np.sort(_lloyd(points, counts, start))


def optimal_centres(points: Floats, counts: Floats, size: int) -> Floats:
    """Return the centres (ascending) of the best partition of weighted points into `size` runs.

    Parameters
    ----------
    points
        (n,) ascending, n >= size.
    counts
        (n,) above 0.
    """
    run = _Runs(points, counts)
    places = np.arange(len(points))
    cost = np.where(places <= places[:, None], run.cost(places, places[:, None] + 1), np.inf)  # of run i..j at [j, i]
    least = cost[:, 0]  # of points 0..j in one run
    starts = np.zeros((size, len(points)), np.int64)
    for k in range(1, size):
        total = cost[:, 1:] + least[:-1]
        starts[k] = total.argmin(1) + 1
        least = total[places, starts[k] - 1]
    bounds = [len(points)]
    for k in range(size - 1, 0, -1):
        bounds.append(int(starts[k, bounds[-1] - 1]))
    edges = np.array([0, *bounds[::-1]])
    return run.mean(edges[:-1], edges[1:])


class _Runs:
    """Mean and squared error of runs [i, j) of weighted points, from prefix sums."""

    def __init__(self, points: Floats, counts: Floats) -> None:
        self._origin = float(np.average(points, weights=counts))
        moved = points - self._origin
        self._sums = [np.concatenate([[0.0], np.cumsum(counts * moved**power)]) for power in range(3)]

    def cost(self, i: Indices, j: Indices) -> Floats:
        mass, first, second = (prefix[j] - prefix[i] for prefix in self._sums)
        return np.asarray(np.maximum(second - first**2 / np.where(mass > 0, mass, 1), 0.0))

    def mean(self, i: Indices, j: Indices) -> Floats:
        mass, first, _ = (prefix[j] - prefix[i] for prefix in self._sums)
        return np.asarray(first / mass + self._origin)


def _gathered(points: Floats, counts: Floats, most: int) -> tuple[Floats, Floats]:
    """Return at most `most` points: where there are more, means over steps, half of them of equal width, half of equal
    mass, so that neither a far tail nor a dense middle is left with few.
    """
    if len(points) <= most:
        return points, counts
    shares = np.arange(1, most // 2) / (most // 2)
    widths = points[0] + shares * (points[-1] - points[0])
    masses = np.interp(shares * counts.sum(), np.cumsum(counts), points)
    steps = np.searchsorted(np.sort(np.concatenate([widths, masses])), points)
    mass, sums = np.bincount(steps, counts), np.bincount(steps, counts * points)
    held = mass > 0
    kept: Floats = mass[held].astype(np.float64)
    return sums[held] / kept, kept


def _lloyd(points: Floats, counts: Floats, centres: Floats) -> Floats:
    """Move centres (ascending) to the means of what lies nearest to them until none moves."""
    weights = np.concatenate([[0.0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(counts * points)])
    for _ in range(ITERATIONS):
        ends = np.searchsorted(points, _edges(centres))
        first, last = np.concatenate([[0], ends]), np.concatenate([ends, [len(points)]])
        mass = weights[last] - weights[first]
        moved = np.where(mass > 0, (sums[last] - sums[first]) / np.where(mass > 0, mass, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _edges(centres: Floats) -> Floats:
    edges: Floats = (centres[1:] + centres[:-1]) / 2
    return edges
