"""How far one set of pictures is from another, by features (n, D) of some embedder. Arithmetic is in float64.

`ValueError` is raised where sets have other numbers of features, or too few pictures.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Features = NDArray[np.float64]


def kid(features: ArrayLike, others: ArrayLike, *, paired: bool = False) -> float:
    """Return the kernel inception distance of two sets: 0 on average for sets of one distribution, so it may be
    negative.

    The unbiased estimate of the squared maximum mean discrepancy with the kernel `(x . y / D + 1)^3`, over whole sets
    (Binkowski et al., "Demystifying MMD GANs", ICLR 2018).

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
    """The kernels of two sets, kept for weighted estimates of `kid`; arguments as there."""

    def __init__(self, features: ArrayLike, others: ArrayLike, *, paired: bool = False) -> None:
        x, y = _two_sets(features, others)
        if paired and len(x) != len(y):
            raise ValueError(f"{len(x)} and {len(y)} pictures cannot be pairs")
        self._paired = paired
        self._xx = _kernel(x, x)
        same = paired and np.array_equal(x, y)  # then to the last bit, however the products are computed
        self._yy, self._xy = (self._xx, self._xx) if same else (_kernel(y, y), _kernel(x, y))
        np.fill_diagonal(self._xx, 0.0)
        np.fill_diagonal(self._yy, 0.0)
        if paired:
            np.fill_diagonal(self._xy, 0.0)

    def distance(self) -> float:
        """Return the estimate of the sets as they are."""
        return float(self.weighted(np.ones((1, len(self._xx))))[0])

    def weighted(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the estimate of resamples, (R,).

        Parameters
        ----------
        weights
            (R, n): how often each picture of the first set was drawn; of pairs, both pictures. Two draws of one
            picture are no pair of pictures, so that resampling adds no bias. A resample of one picture alone has no
            pair, and NaN.
        """
        w = weights
        pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
        within = ((w @ self._xx) * w).sum(axis=1) / pairs
        if self._paired:
            others = ((w @ self._yy) * w).sum(axis=1) / pairs
            across = ((w @ self._xy) * w).sum(axis=1) / pairs
        else:
            count = len(self._yy)
            others = np.full(len(w), self._yy.sum() / (count * (count - 1)))
            across = (w @ self._xy).sum(axis=1) / (w.sum(axis=1) * count)
        distance: NDArray[np.float64] = within + others - 2 * across
        return distance


def fid(features: ArrayLike, others: ArrayLike) -> float:
    """Return the Frechet distance of two sets, each taken for a normal distribution; 0 or more, 0 for equal sets.

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` (Heusel et al., NeurIPS 2017). Biased upwards in small sets, and by
    how much depends on the set: compare only numbers of as many pictures, never with another paper's.
    """
    x, y = _two_sets(features, others)
    means = x.mean(axis=0) - y.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (x, y))
    # tr((S1 S2)^(1/2)) = tr((S1^(1/2) S2 S1^(1/2))^(1/2)), and that product is symmetric
    root = _square_root(first)
    eigenvalues = np.linalg.eigvalsh(root @ second @ root)
    cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    return max(0.0, float(means @ means + np.trace(first) + np.trace(second) - 2 * cross))


def _two_sets(features: ArrayLike, others: ArrayLike) -> tuple[Features, Features]:
    x, y = np.asarray(features, np.float64), np.asarray(others, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"features of shapes {x.shape} and {y.shape}; give (n, D) and (m, D), two pictures or more")
    return x, y


def _kernel(x: Features, y: Features) -> Features:
    kernel: Features = (x @ y.T / x.shape[1] + 1.0) ** 3
    return kernel


def _square_root(matrix: Features) -> Features:
    values, vectors = np.linalg.eigh(matrix)
    root: Features = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
