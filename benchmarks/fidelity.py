"""How far one set of logits is from another, row by row. Logits are (M, V); rows are masked positions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def kl_divergence(reference: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return KL(softmax(reference) || softmax(other)) of each row, (M,) in nats, computed in float64."""
    p, q = _log_softmax(reference), _log_softmax(other)
    divergence: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=-1)
    return np.maximum(divergence, 0.0)  # rounding may leave a tiny negative


def relative_error(reference: ArrayLike, other: ArrayLike) -> float:
    """Return max |difference| relative to max |reference|; infinite where either has a value that is not finite."""
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    largest = np.abs(a).max()
    difference = np.abs(a - b).max()
    return float(difference / largest) if largest else float(difference)


def _log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(logits, np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    return result
