"""How far one set of logits is from another, row by row. Logits are (M, V); rows are masked positions.

Arithmetic is in float64. `ValueError` is raised where shapes differ. A row with a NaN never looks close.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.float64]


def kl_divergence(reference: ArrayLike, other: ArrayLike) -> Rows:
    """Return KL(softmax(reference) || softmax(other)) of each row, (M,) in nats; infinite for a row with a NaN."""
    p, q = _log_softmax(reference), _log_softmax(other)
    _same_shape(p, q)
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))
    divergence: Rows = terms.sum(axis=-1)
    divergence = np.where(np.isnan(divergence), np.inf, divergence)
    return np.maximum(divergence, 0.0)  # rounding may leave a tiny negative


def total_variation(reference: ArrayLike, other: ArrayLike) -> Rows:
    """Return `sum |softmax(reference) - softmax(other)| / 2` of each row, (M,) in [0, 1]; 1 for a row with a NaN."""
    p, q = _log_softmax(reference), _log_softmax(other)
    _same_shape(p, q)
    distance: Rows = np.abs(np.exp(p) - np.exp(q)).sum(axis=-1) / 2
    return np.where(np.isnan(distance), 1.0, np.minimum(distance, 1.0))


def top_agreement(reference: ArrayLike, other: ArrayLike, count: int) -> Rows:
    """Return which share of the reference's `count` likeliest codes is among the other's `count` likeliest, (M,).

    Of equal logits the lower code counts as likelier. With a count of 1 this is top-1 agreement, 0 or 1 a row; a row
    with a NaN has 0.
    """
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _same_shape(a, b)
    count = min(count, a.shape[-1])
    ours, theirs = (np.argsort(-x, axis=-1, kind="stable")[..., :count] for x in (a, b))
    shared: Rows = (ours[..., :, None] == theirs[..., None, :]).any(-1).mean(-1)
    return np.where(np.isnan(a).any(-1) | np.isnan(b).any(-1), 0.0, shared)


def rank_correlation(reference: ArrayLike, other: ArrayLike) -> float:
    """Return Spearman's rank correlation of two lists of numbers, in [-1, 1]; ties share their mean rank.

    A list whose numbers are all equal has no order: the result is 1 where both are such, else 0. NaN gives -1.
    """
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _same_shape(a, b)
    if np.isnan(a).any() or np.isnan(b).any():
        return -1.0
    x, y = _mean_ranks(a), _mean_ranks(b)
    x, y = x - x.mean(), y - y.mean()
    spread = np.sqrt((x @ x) * (y @ y))
    if spread == 0:
        return float(not x.any() and not y.any())
    return float(np.clip((x @ y) / spread, -1.0, 1.0))


def relative_error(reference: ArrayLike, other: ArrayLike) -> float:
    """Return max |difference| relative to max |reference|; infinite where either has a value that is not finite."""
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _same_shape(a, b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    largest = np.abs(a).max()
    difference = np.abs(a - b).max()
    return float(difference / largest) if largest else float(difference)


def _mean_ranks(values: Rows) -> Rows:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Rows = (last - (counts - 1) / 2)[inverse]
    return mean


def _same_shape(a: Rows, b: Rows) -> None:
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")


def _log_softmax(logits: ArrayLike) -> Rows:
    x = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        x = x - x.max(axis=-1, keepdims=True)
        result: Rows = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return result
