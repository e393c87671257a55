"""Palettes with error feedback: values and places that keep a layer's outputs, not its weights.

Of weights w (N, K) that become q, and second moments H (K, K) of the inputs, the error is the sum of
`(q - w) H (q - w)^T` over the N outputs. Three steps lower it:

1. places by GPTQ (Frantar et al., 2023), input by input, those with the largest moments first. The values come from
   k-means in which an input counts for what its error costs after the feedback.
2. with places fixed, the best values are those of a linear least-squares problem in 2^bits unknowns;
3. with values fixed, each place in turn becomes the best one given all others (coordinate descent).

Steps 2 and 3 are done in turns, and neither can raise the error, up to the rounding of values to the weight's type.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.rounding.hessians import damped, inverse_factor, output_errors
from amused_edge.quantization.rounding.palettes import Palette, palette, palette_values
from amused_edge.quantization.rounding.uniform import check_finite

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

TURNS = 2
"""Of steps 2 and 3. On the demo the second gains a hundredth in most layers, a third in those with uneven inputs."""

REFITTED_BITS = 4
"""Palettes of more bits keep what step 1 gives: most gain a few hundredths, at a cost that doubles with each bit."""

_COLUMNS, _ROWS = 128, 128
"""Inputs between two products with all others; outputs at once in the least-squares problem."""


def feedback_palettes(
    weight: NDArray[np.floating], hessian: NDArray[np.floating], bits: int, group: int | None = None
) -> list[Palette]:
    """Find palettes for a layer's weight under which its expected output error is small.

    Never larger than with `palette`: of each group the better of the two is returned.

    Parameters
    ----------
    weight
        (N, K), float16 or float32: N outputs, K inputs.
    hessian
        (K, K): X^T X of calibration inputs X (rows, K).
    bits
        1 to 8.
    group
        Outputs that share a palette, a divisor of N; None: all.

    Returns
    -------
    One palette for each group of outputs, in their order.

    Raises
    ------
    QuantizationError
        A value is not finite.
    """
    check_finite(weight)
    check_finite(hessian)
    rows = weight.reshape(-1, group or len(weight), weight.shape[1])
    plain = [palette(part, bits) for part in rows]
    state = _start(rows, hessian, bits)
    for _ in range(TURNS if bits <= REFITTED_BITS else 0):
        state = _descend(_refit(state, weight.dtype))
    found = []
    for part, other, values, places in zip(rows, plain, state.values, state.places, strict=True):
        made = Palette(values.astype(weight.dtype), places.astype(np.uint8))
        errors = [output_errors(p.expand().astype(np.float64) - part, hessian).sum() for p in (made, other)]
        found.append(made if errors[0] < errors[1] else other)
    return found


@dataclass(frozen=True)
class _State:
    """Groups of outputs and their palettes.

    Attributes
    ----------
    weight
        (groups, N / groups, K).
    hessian
        (K, K), regular.
    values
        (groups, 2^bits), ascending.
    places
        The weight's shape.
    """

    weight: Floats
    hessian: Floats
    values: Floats
    places: Places

    @property
    def rounded(self) -> Floats:
        return _looked_up(self.values, self.places)


def _start(rows: NDArray[np.floating], hessian: NDArray[np.floating], bits: int) -> _State:
    """Step 1."""
    regular = damped(hessian)
    order = np.argsort(-np.diag(regular), kind="stable")
    factor = inverse_factor(regular[np.ix_(order, order)])
    importance = np.empty(len(order))
    importance[order] = np.diag(factor) ** -2.0
    values = np.stack([palette_values(part, bits, importance) for part in rows]).astype(rows.dtype)
    wide = rows.astype(np.float64)
    places = np.empty(wide.shape, np.int64)
    places[:, :, order] = _fed_back(wide[:, :, order], factor, values.astype(np.float64))
    return _State(wide, regular, values.astype(np.float64), places)


def _fed_back(rest: Floats, factor: Floats, values: Floats) -> Places:
    """Round input by input, correcting the inputs still to come (`rest` is changed)."""
    places = np.empty(rest.shape, np.int64)
    count = rest.shape[2]
    for first in range(0, count, _COLUMNS):
        last = min(first + _COLUMNS, count)
        errors = np.empty((*rest.shape[:2], last - first))
        for i in range(first, last):
            places[:, :, i] = _nearest(rest[:, :, i], values)
            error = (rest[:, :, i] - _looked_up(values, places[:, :, i])) / factor[i, i]
            rest[:, :, i:last] -= error[:, :, None] * factor[i, i:last]
            errors[:, :, i - first] = error
        rest[:, :, last:] -= errors @ factor[first:last, last:]
    return places


def _refit(state: _State, dtype: np.dtype[np.floating]) -> _State:
    """Step 2: solve A v = b, where A[k, l] sums the moments between inputs at places k and l over all outputs."""
    size = state.values.shape[1]
    found = np.empty_like(state.values)
    for index, (rows, places, before) in enumerate(zip(state.weight, state.places, state.values, strict=True)):
        normal, right = np.zeros((size, size)), np.zeros(size)
        for first in range(0, len(rows), _ROWS):
            part = places[first : first + _ROWS]
            chosen = (np.arange(size)[:, None, None] == part).astype(np.float64)
            products = (chosen @ state.hessian).reshape(size, -1)
            normal += products @ chosen.reshape(size, -1).T
            right += products @ rows[first : first + _ROWS].reshape(-1)
        ridge = 1e-9 * np.trace(normal) / size  # what is used nowhere keeps its value
        found[index] = np.linalg.solve(normal + ridge * np.eye(size), right + ridge * before)
    order = np.argsort(found, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    values = np.take_along_axis(found, order, 1).astype(dtype).astype(np.float64)
    return _State(state.weight, state.hessian, values, _looked_up(ranks, state.places))


def _descend(state: _State) -> _State:
    """Step 3, one pass over all inputs."""
    places, hessian = state.places.copy(), state.hessian
    change = state.rounded - state.weight
    count = places.shape[2]
    for first in range(0, count, _COLUMNS):
        last = min(first + _COLUMNS, count)
        slopes = change @ hessian[:, first:last]
        for i in range(first, last):
            now = _looked_up(state.values, places[:, :, i])
            places[:, :, i] = _nearest(now - slopes[:, :, i - first] / hessian[i, i], state.values)
            step = _looked_up(state.values, places[:, :, i]) - now
            slopes += step[:, :, None] * hessian[i, first:last]
            change[:, :, i] += step
    return _State(state.weight, hessian, state.values, places)


def _nearest(wanted: Floats, values: Floats) -> Places:
    """Return the places of the values (groups, 2^bits) nearest to what is wanted (groups, n)."""
    edges = (values[:, 1:] + values[:, :-1]) / 2
    return np.stack([np.searchsorted(edge, part) for edge, part in zip(edges, wanted, strict=True)])


def _looked_up(values: NDArray[Any], places: Places) -> NDArray[Any]:
    """Return values (groups, 2^bits) by places (groups, ...)."""
    groups = np.arange(len(values)).reshape(-1, *(1 for _ in places.shape[1:]))
    return values[groups, places]
