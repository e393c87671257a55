"""Second moments of a layer's inputs, prepared for error feedback."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAMPING = 0.01
"""Share of the mean diagonal that is added to the diagonal, as in the GPTQ paper."""


def damped(hessian: NDArray[np.floating]) -> Floats:
    """Return X^T X (K, K) made regular: damped, and with the mean diagonal for inputs that never occur."""
    made = np.array(hessian, np.float64)
    diagonal = np.einsum("ii->i", made)
    live = diagonal > 0
    typical = diagonal[live].mean() if live.any() else 1.0
    diagonal[~live] = typical
    diagonal += DAMPING * typical
    return made


def inverse_factor(regular: Floats) -> Floats:
    """Return the upper Cholesky factor U of the inverse: `inverse = U^T U`. 1 / U[i, i]^2 is what an error of input i
    costs after the inputs behind it have made up for it.
    """
    factor: Floats = np.linalg.cholesky(np.linalg.inv(regular)).T
    return factor


def output_errors(change: NDArray[np.floating], hessian: NDArray[np.floating]) -> Floats:
    """Return for each row of a change of weights (N, K) the summed squared change of its output: e H e^T."""
    wide = change.astype(np.float64)
    errors: Floats = np.einsum("nk,nk->n", wide @ np.asarray(hessian, np.float64), wide)
    return errors
