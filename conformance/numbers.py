"""Numbers as every language's JSON reader takes them: floats that are exact, large whole numbers as texts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.sampling.philox import Purpose, uniforms

_SIGNED_BITS = 23
"""A numerator less 2^23 has that many bits beside its sign; less three for the whole part, a logit lies in [-8, 8)."""


def short(value: np.float32 | float) -> float:
    """Return a float32 as the shortest decimal that is rounded to it, by way of float64 as readers do."""
    decimal = float(str(np.float32(value)))
    if np.float32(decimal) != np.float32(value):
        raise ArithmeticError(f"{value} does not survive the way over a short decimal")
    return decimal


def floats(values: NDArray[Any]) -> list[Any]:
    """Return float32 numbers as `short`, in lists of the array's shape; infinity as null."""
    if values.ndim > 1:
        return [floats(row) for row in values]
    return [None if np.isposinf(value) else short(value) for value in values]


def numerators(uniform: FloatArray) -> list[int]:
    """Return uniforms as the whole numbers `u * 2^24`."""
    return [int(value) for value in uniform.astype(np.float64) * 2**24]


def of_numerators(values: Any) -> FloatArray:
    """Return the uniforms again, as an array of the lists' shape."""
    return (np.array(values, np.float64) / 2**24).astype(np.float32)


def table(rule: dict[str, Any], step: int, rows: IntArray, codes: int) -> FloatArray:
    """Return rows of a table of logits (N, codes) that a rule describes, so that no file must hold it.

    Parameters
    ----------
    rule
        `constant`, or `seed`, `picture` and `drop`: number `row * codes + code` of the stream with purpose 0 at this
        step is `n * 2^-24`, and the logit `((n >> drop) - 2^(23 - drop)) / 2^(20 - drop)`.
    """
    if "constant" in rule:
        return np.full((len(rows), codes), rule["constant"], np.float32)
    last = int(rows.max()) + 1 if len(rows) else 0
    stream = uniforms(
        last * codes, seed=int(rule["seed"]), picture=int(rule["picture"]), step=step, purpose=Purpose.TOKENS
    )
    drop = int(rule["drop"])
    whole = (stream.astype(np.float64) * 2**24).astype(np.int64).reshape(last, codes)[rows] >> drop
    logits: NDArray[np.float64] = (whole - 2 ** (_SIGNED_BITS - drop)) / 2 ** (_SIGNED_BITS - 3 - drop)
    return logits.astype(np.float32)
