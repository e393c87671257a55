"""How far one set of pictures is from another, by features (n, D) of some embedder. Arithmetic is in float64.

Features are read block by block, in the order of pictures, and never held whole: memory does not grow with a set, and
sums do not depend on how the pictures came about. `ValueError` is raised where sets have other numbers of features, or
too few pictures.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Features = NDArray[np.float64]

BLOCK = 512
"""Pictures that are read together."""


class Rows(Protocol):
    """Features (n, D) that are read some rows at a time; an array is such, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, D)."""
        ...

    def __getitem__(self, rows: slice, /) -> Any:
        """Return some rows."""
        ...


Sets = ArrayLike | Rows


def kid(features: Sets, others: Sets, *, paired: bool = False) -> float:
    """Return the kernel inception distance of two sets: 0 on average for sets of one distribution, so it may be
    negative.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel `(x . y / D + 1)^3`, over whole sets
    (Binkowski et al., "Demystifying MMD GANs", ICLR 2018): all pairs of pictures, no subsets drawn from them.

    Parameters
    ----------
    features, others
        (n, D) and (m, D), two pictures or more each.
    paired
        Pictures of the same place belong together (same prompt and seed), n = m: their similarity is left out, as the
        two sets are not independent. Equal sets have exactly 0.
    """
    return KidKernels(features, others, paired=paired).distance()


class KidKernels:
    """The kernels of two sets, for weighted estimates of `kid`; arguments as there.

    The sum over all pairs is taken tile by tile of `BLOCK` x `BLOCK` kernels, which are forgotten: it is that over the
    whole matrix in another order.
    """

    def __init__(self, features: Sets, others: Sets, *, paired: bool = False) -> None:
        self._x, self._y = _two_sets(features, others)
        self._counts = self._x.shape[0], self._y.shape[0]
        if paired and self._counts[0] != self._counts[1]:
            raise ValueError(f"{self._counts[0]} and {self._counts[1]} pictures cannot be pairs")
        self._paired = paired

    def distance(self) -> float:
        """Return the estimate of the sets as they are."""
        return float(self.weighted(np.ones((1, self._counts[0])))[0])

    def weighted(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the estimate of resamples, (R,).

        Parameters
        ----------
        weights
            (R, n): how often each picture of the first set was drawn; of pairs, both pictures. Two draws of one
            picture are no pair of pictures, so that resampling adds no bias. A resample of one picture alone has no
            pair, and NaN.
        """
        drawn, squares = np.zeros((2, len(weights)))
        for columns in _blocks(self._counts[0]):
            w = weights[:, columns].astype(np.float64)
            drawn += w.sum(axis=1)
            squares += (w**2).sum(axis=1)
        pairs = drawn**2 - squares
        if self._paired:
            within, others, across = self._sums_of_pairs(weights) / pairs
        else:
            count = self._counts[1]
            within = self._sums_within(weights) / pairs
            others = np.full(len(weights), self._sum_of_others() / (count * (count - 1)))
            across = self._sums_across(weights) / (drawn * count)
        distance: NDArray[np.float64] = within + others - 2 * across
        return distance

    def _sums_of_pairs(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """Return the weighted sums of the kernels within the first set, within the second and across, (3, R)."""
        sums = np.zeros((3, len(weights)))
        for first, second in _triangle(self._counts[0]):
            x, y = (_tile(rows, first, second) for rows in (self._x, self._y))
            w = [weights[:, columns].astype(np.float64) for columns in (first, second)]
            within = _symmetric(w, *x)
            if all(np.array_equal(a, b) for a, b in zip(x, y, strict=True)):  # then to the last bit, whatever routine
                sums += within  # multiplies
                continue
            across = _weighted(w[0], _kernel(x[0], y[1], own=first == second), w[1])
            if first != second:
                across = across + _weighted(w[1], _kernel(x[1], y[0]), w[0])
            sums += np.stack([within, _symmetric(w, *y), across])
        return sums

    def _sums_within(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.zeros(len(weights))
        for first, second in _triangle(self._counts[0]):
            w = [weights[:, columns].astype(np.float64) for columns in (first, second)]
            sums += _symmetric(w, *_tile(self._x, first, second))
        return sums

    def _sum_of_others(self) -> float:
        sums = (_symmetric(None, *_tile(self._y, *places)) for places in _triangle(self._counts[1]))
        return float(sum(float(each) for each in sums))

    def _sums_across(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        sums = np.zeros(len(weights))
        for first in _blocks(self._counts[0]):
            w, x = weights[:, first].astype(np.float64), _read(self._x, first)
            for second in _blocks(self._counts[1]):
                sums += (w @ _kernel(x, _read(self._y, second))).sum(axis=1)
        return sums


class Moments:
    """Mean and covariance of features, from blocks of rows: Chan, Golub and LeVeque, "Algorithms for computing the
    sample variance" (The American Statistician, 1983), for vectors. Holds (D, D), whatever the number of rows.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean: Features = np.zeros(size)
        self._scatter: Features = np.zeros((size, size))

    def add(self, block: ArrayLike) -> None:
        """Add rows (b, D)."""
        x = np.asarray(block, np.float64)
        mean = x.mean(axis=0)
        centred = x - mean
        total = self.count + len(x)
        move = mean - self.mean
        self._scatter += centred.T @ centred
        self._scatter += np.outer(move, move) * (self.count * len(x) / total)
        self.mean = self.mean + move * (len(x) / total)
        self.count = total

    @property
    def covariance(self) -> Features:
        """(D, D), unbiased."""
        return self._scatter / (self.count - 1)


def moments(features: Sets) -> Moments:
    """Return the moments of a set, read block by block."""
    rows = _rows(features)
    found = Moments(rows.shape[1])
    for block in _blocks(rows.shape[0]):
        found.add(_read(rows, block))
    return found


def fid(features: Sets, others: Sets) -> float:
    """Return the Frechet distance of two sets, each taken for a normal distribution; 0 or more, 0 for equal sets.

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` (Heusel et al., NeurIPS 2017). Biased upwards in small sets, and by
    how much depends on the set: compare only numbers of as many pictures, never with another paper's.
    """
    x, y = (moments(each) for each in _two_sets(features, others))
    move, first, second = x.mean - y.mean, x.covariance, y.covariance
    # tr((S1 S2)^(1/2)) = tr((S1^(1/2) S2 S1^(1/2))^(1/2)), and that product is symmetric
    root = _square_root(first)
    eigenvalues = np.linalg.eigvalsh(root @ second @ root)
    cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    return max(0.0, float(move @ move + np.trace(first) + np.trace(second) - 2 * cross))


def _rows(features: Sets) -> Rows:
    """Return a set as it is, if it can be read block by block; else as an array."""
    return features if hasattr(features, "shape") else np.asarray(features, np.float64)  # type: ignore[return-value]


def _two_sets(features: Sets, others: Sets) -> tuple[Rows, Rows]:
    x, y = _rows(features), _rows(others)
    if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[1] != y.shape[1] or min(x.shape[0], y.shape[0]) < 2:
        raise ValueError(f"features of shapes {x.shape} and {y.shape}; give (n, D) and (m, D), two pictures or more")
    return x, y


def _read(rows: Rows, block: slice) -> Features:
    return np.asarray(rows[block], np.float64)


def _tile(rows: Rows, first: slice, second: slice) -> tuple[Features, Features]:
    """Return the features of a tile's two sides: one array where they are the same pictures."""
    x = _read(rows, first)
    return x, x if second == first else _read(rows, second)


def _blocks(count: int) -> Iterator[slice]:
    for first in range(0, count, BLOCK):
        yield slice(first, min(first + BLOCK, count))


def _triangle(count: int) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a symmetric matrix that lie on its diagonal or above it."""
    for first in _blocks(count):
        for second in _blocks(count):
            if second.start >= first.start:
                yield first, second


def _kernel(x: Features, y: Features, *, own: bool = False) -> Features:
    """Return the kernels of a tile; of `own` ones, none of a picture with that of its place."""
    similar: Features = x @ y.T / x.shape[1] + 1.0
    kernel = similar * similar * similar  # a tenth of the time of a power
    if own:
        np.fill_diagonal(kernel, 0.0)
    return kernel


def _symmetric(weights: list[Features] | None, x: Features, y: Features) -> NDArray[np.float64]:
    """Return the weighted sums (R,) of a tile of a symmetric matrix and its mirror image; without weights, the sum."""
    own = y is x
    kernel = _kernel(x, y, own=own)
    total = np.asarray(kernel.sum()) if weights is None else _weighted(weights[0], kernel, weights[1])
    return total if own else 2 * total


def _weighted(first: Features, kernel: Features, second: Features) -> NDArray[np.float64]:
    total: NDArray[np.float64] = ((first @ kernel) * second).sum(axis=1)
    return total


def _square_root(matrix: Features) -> Features:
    values, vectors = np.linalg.eigh(matrix)
    root: Features = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
