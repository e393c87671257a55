"""Runs the parent's packages in the evaluator and sums up the second moments of what their weights are multiplied with.

Nothing is rounded to halves, which would take twice the time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.calibration import draw, second_moments
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.coreml.evaluator import MilGraph

Moments = Mapping[str, NDArray[np.float64]]
"""Name of a value in a program -> X^T X (K, K), its axes but the last taken together."""


def observe(
    bundle: Bundle,
    wanted: Mapping[str, Collection[str]],
    calibration: Calibration,
    prompts: Sequence[str],
    *,
    on_picture: Callable[[int, int], None] | None = None,
) -> dict[str, Moments]:
    """Draw pictures with a bundle and return, by role, the moments of the values that are wanted of its program."""
    options = EngineOptions(simulate="float", remembered_prompts=0)
    sums = {role: _Sums(names) for role, names in wanted.items()}
    watched = {role: MilGraph(bundle, role, options, on_value=sums[role]) for role in wanted}
    draw(bundle, watched, calibration, prompts, options, on_picture=on_picture)
    return {role: made.moments for role, made in sums.items()}


class _Sums:
    """Takes the values of a program that are wanted."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self.moments: dict[str, NDArray[np.float64]] = {}

    def __call__(self, name: str, value: NDArray[Any]) -> None:
        if name in self._names:
            self.moments[name] = self.moments.get(name, 0.0) + second_moments(value)
