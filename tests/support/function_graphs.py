"""Graphs that are plain functions of float64, in the place of the tiny bundle's: what they make of numbers is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID, CODES, MASKED = (4, 6), 32, 39
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (8, 12, 3), np.uint8)
MASK = np.zeros((8, 12), np.uint8)
MASK[:, 8:] = 255
Float = NDArray[np.float64]
Calls = list[tuple[str, int, Any]]
"""Of each call of a graph: its role, the rows that it was given, and who may cancel it."""


def text(ids: Any) -> tuple[Float, Float]:
    """(77,) -> (77, 24), (16,)."""
    values = np.asarray(ids, np.float64)
    return np.sin(values[:, None] * 0.37 + np.arange(24)), np.cos(values.sum() * 0.01 + np.arange(16))


def condition(hidden: Any, pooled: Any, micro: Any) -> Float:
    """(77, 24), (16,), (5,) -> (1,)."""
    weights = np.array([0.01, 0.02, 0.3, 0.5, 0.7])
    return np.array([np.mean(hidden) * 9 + np.sum(pooled) + np.asarray(micro, np.float64) @ weights])


def logits_of(tokens: Any, value: Any) -> Float:
    """(4, 6), (1,) -> (24, 32)."""
    places, codes = np.ogrid[:24, :32]
    seen = np.sum(np.asarray(tokens) * np.arange(24).reshape(4, 6))
    return np.asarray(3 * np.sin(value[0] * (1 + places) + 0.7 * codes + 0.001 * seen))


def decoded(tokens: Any) -> Any:
    return np.repeat(np.repeat(np.asarray(tokens) * 7, 2, 0), 2, 1)[..., None].astype(np.uint8) + np.arange(
        3, dtype=np.uint8
    )


def encoded(image: Any) -> Any:
    return np.asarray(image)[::2, ::2, 0] // 8


Run = Callable[[Any], dict[str, Any]]
RUNS: dict[str, Run] = {
    "text_encoder": lambda row: dict(zip(("hidden_states", "pooled"), text(row["input_ids"]), strict=True)),
    "conditioner": lambda row: {"c": condition(row["hidden_states"], row["pooled"], row["micro_conditions"])},
    "denoiser": lambda row: {"logits": logits_of(row["tokens"], row["c"])},
    "image_decoder": lambda row: {"image": decoded(row["tokens"])},
    "image_encoder": lambda row: {"tokens": encoded(row["image"])},
}


class FunctionGraph:
    """A graph that is a function of each row."""

    def __init__(self, role: str, calls: Calls) -> None:
        self._role, self._calls = role, calls

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, Any]:
        count = {len(value) for value in inputs.values()}
        assert len(count) == 1
        (rows,) = count
        self._calls.append((self._role, rows, cancellation))
        outputs = [RUNS[self._role]({name: value[i] for name, value in inputs.items()}) for i in range(rows)]
        stacked = {name: np.stack([row[name] for row in outputs]) for name in outputs[0]}
        return {
            name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in stacked.items()
        }

    def close(self) -> None: ...
