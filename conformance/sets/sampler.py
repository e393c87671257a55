"""The parts of one step: guidance, draws with their ties, log-probabilities, confidences, and what is masked again."""

from typing import Any

import numpy as np

from amused_edge.conformance.numbers import floats, numerators, of_numerators, short
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet
from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.halton import halton_order
from amused_edge.runtime.sampling.philox import Purpose, uniforms

_HALF = 2**23 + 1


def _array(values: Any) -> FloatArray:
    """Read float32 numbers, null as infinity."""
    return np.array([np.inf if value is None else value for value in values], np.float32)


def _rows(values: list[list[float]]) -> FloatArray:
    return np.array(values, np.float32)


def _noise(count: int, seed: int) -> FloatArray:
    return uniforms(count, seed=seed, picture=0, step=0, purpose=Purpose.TOKENS)


def _logits(rows: int, codes: int, seed: int) -> list[list[float]]:
    """Return multiples of 1/64 within -8 and 8, which every language reads exactly."""
    values = np.floor(_noise(rows * codes, seed) * np.float32(1024)) / np.float32(64) - np.float32(8)
    return [[float(value) for value in row] for row in values.reshape(rows, codes)]


def _guided_given() -> list[Values]:
    pairs = [(_logits(2, 6, 31), _logits(2, 6, 32)), ([[1e30, -1e30, 0.0]], [[-1e30, 1e30, -0.125]])]
    scales = ([0.5, 1.0, 1.25, 10.0, 7.3], [2.0])
    return [
        {"unconditional": one, "conditional": other, "guidance_scale": scale}
        for (one, other), each in zip(pairs, scales, strict=True)
        for scale in each
    ]


def _guided(given: Values) -> Values:
    unconditional, conditional = _rows(given["unconditional"]), _rows(given["conditional"])
    return {"logits": floats(sampler.guide(unconditional, conditional, given["guidance_scale"]))}


def _draws_given() -> list[Values]:
    """Ties of equal logits and equal noise, then draws that are clear."""
    same = [[_HALF] * 5] * 2
    ties = [
        ([[0.0] * 5, [1.0, 3.0, 3.0, -2.0, 3.0]], same),
        ([[-1e9, -1e9, -1e9, -1e9, -1e9], [2.5, 2.5, 2.5, 2.5, 7.0]], same),
        ([[0.0, 0.0, 0.0, 0.0, 0.0]], [[1, 16777215, 3, 16777215, 16777213]]),
        ([[4.0]], [[_HALF]]),
    ]
    sizes = ((6, 4, 41), (3, 33, 42), (2, 64, 43))
    clear = [(_logits(m, v, s), [numerators(row) for row in _noise(m * v, s + 50).reshape(m, v)]) for m, v, s in sizes]
    return [{"logits": logits, "numerators": noise} for logits, noise in ties + clear]


def _draws(given: Values) -> Values:
    return {"tokens": sampler.draw_tokens(_rows(given["logits"]), of_numerators(given["numerators"])).tolist()}


def _probabilities_given() -> list[Values]:
    large = [[1e4, 0.0, -1e4], [1e4, 0.0, -1e4], [88.75, 0.0, 44.0], [-3e38, -3e38, 0.0]]
    return [
        {"logits": _logits(5, 9, 61), "tokens": [0, 8, 3, 3, 7]},
        {"logits": _logits(2, 100, 62), "tokens": [99, 50]},
        {"logits": large, "tokens": [0, 1, 2, 0]},
        {"logits": [[0.0] * 7, [5.0] * 7], "tokens": [0, 6]},
        {"logits": [[2.0]], "tokens": [0]},
    ]


def _probabilities(given: Values) -> Values:
    tokens = np.array(given["tokens"], np.int64)
    return {"log_probabilities": floats(sampler.log_probabilities(_rows(given["logits"]), tokens))}


def _confidences_given() -> list[Values]:
    noise = numerators(_noise(12, 71))
    log_probabilities = [-0.25, -7.5, 0.0, -46.0517]
    return [
        {"log_probabilities": log_probabilities, "numerators": noise, "temperature": short(temperature), "rows": rows}
        for temperature in (0.0, 2.0, 1.8181819, 50.0)
        for rows in ([0, 3, 7, 11], [8, 9, 10, 11])
    ] + [{"log_probabilities": [], "numerators": noise, "temperature": 1.0, "rows": []}]


def _confidences(given: Values) -> Values:
    found = sampler.confidences(
        _array(given["log_probabilities"]),
        of_numerators(given["numerators"]),
        np.float32(given["temperature"]),
        np.array(given["rows"], np.int64),
    )
    return {"confidences": floats(found)}


def _places_given() -> list[Values]:
    return [
        {"grid": list(grid), "start": start, "rows": rows}
        for grid, start, rows in (
            ((3, 4), 0, list(range(12))),
            ((3, 4), 5, [0, 1, 4, 11]),
            ((3, 4), 11, [2, 3]),
            ((1, 1), 0, [0]),
            ((2, 3), 4, []),
        )
    ]


def _places(given: Values) -> Values:
    order = np.roll(halton_order(*given["grid"]), -given["start"])
    return {"confidences": floats(sampler.order_confidences(order, np.array(given["rows"], np.int64)))}


def _remasks_given() -> list[Values]:
    tied = [1.0, 0.0, 1.0, 0.0, 1.0]
    known = [None, -3.0, None, -3.0, -2.0, None, -50.0]
    spread = [float(value) for value in (_noise(24, 81) * np.float32(64)).round()]  # some are equal
    cases: list[tuple[list[Any], int]] = [
        ([0.0] * 5, 2),
        (tied, 3),
        (tied, 0),
        (tied, 1),
        (known, 2),
        (known, 4),
        (known, 1),
        ([-1.5], 1),
    ]
    cases += [(spread, length) for length in (1, 7, 12, 23)] + [([-0.0, 0.0, -0.0, 0.0], 2)]
    return [{"confidences": values, "mask_length": length} for values, length in cases]


def _remasks(given: Values) -> Values:
    mask = sampler.remask(_array(given["confidences"]), given["mask_length"])
    return {"masked": np.flatnonzero(mask).tolist()}


_LOGARITHMS = Tolerance(2e-6, 1e-6)

SETS = (
    VectorSet(
        "guided-logits",
        "Classifier-free guidance in float32: u + scale * (c - u), rounded after each operation.",
        _guided_given,
        _guided,
    ),
    VectorSet("draws", "The code that Gumbel-max draws in each row; the lowest wins a tie.", _draws_given, _draws),
    VectorSet(
        "log-probabilities",
        "log softmax(logits) of a code in each row, not below log(1e-20).",
        _probabilities_given,
        _probabilities,
        {"log_probabilities": _LOGARITHMS},
    ),
    VectorSet(
        "confidences",
        "Confidences of a grid: log p + temperature * gumbel at the rows, infinite (null) elsewhere.",
        _confidences_given,
        _confidences,
        {"confidences": Tolerance(1e-5, 1e-6)},
    ),
    VectorSet(
        "order-confidences",
        "Confidences of a Halton order that begins at its place `start`: the negative place of each row.",
        _places_given,
        _places,
    ),
    VectorSet(
        "remasks",
        "Which positions are masked again: the least confident, of equal ones the first.",
        _remasks_given,
        _remasks,
    ),
)
