"""How far one set of logits is from another, row by row. Logits are (M, V); rows are masked positions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def kl_divergence(reference: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return KL(softmax(reference) || softmax(other)) of each row, (M,) in nats, computed in float64.

    A row with a NaN has an infinite divergence, so that no limit lets it pass. Raises `ValueError` where shapes differ.
    """
    p, q = _log_softmax(reference), _log_softmax(other)
    _same_shape(p, q)
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isneginf(p), 0.0, np.exp(p) * (p - q))
    divergence: NDArray[np.float64] = terms.sum(axis=-1)
    divergence = np.where(np.isnan(divergence), np.inf, divergence)
    return np.maximum(divergence, 0.0)  # rounding may leave a tiny negative


def relative_error(reference: ArrayLike, other: ArrayLike) -> float:
    """Return max |difference| relative to max |reference|; infinite where either has a value that is not finite.

    Raises `ValueError` where shapes differ.
    """
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _same_shape(a, b)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    largest = np.abs(a).max()
    difference = np.abs(a - b).max()
    return float(difference / largest) if largest else float(difference)


def _same_shape(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")


def _log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        x = x - x.max(axis=-1, keepdims=True)
        result: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return result
