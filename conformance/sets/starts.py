"""Where variation and in-painting start: the first step, what is masked, the share that the schedule begins with."""

from itertools import product

import numpy as np

from amused_edge.conformance.numbers import short
from amused_edge.conformance.vector_set import Values, VectorSet
from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.drawing import starts
from amused_edge.runtime.drawing.starts import Start
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.schedule import SCHEDULES

_MASK = 9999


def _variations_given() -> list[Values]:
    """Strength times steps is cut off in float64: 0.29 of 100 steps are 28, 0.57 are 56."""
    strengths = (
        (12, 0.5),
        (12, 1.0),
        (12, 0.0),
        (12, 0.05),
        (12, 1 / 12),
        (12, 0.999),
        (100, 0.29),
        (100, 0.57),
        (1, 0.5),
        (1, 1.0),
    )
    streams = (("0", "0", [4, 5]), ("18446744073709551615", "3", [16, 16]))
    return [
        {"grid": grid, "steps": steps, "schedule": schedule, "strength": strength, "seed": seed, "picture": picture}
        for (seed, picture, grid), schedule, (steps, strength) in product(streams, SCHEDULES, strengths)
    ]


def _told(start: Start) -> Values:
    masked = np.flatnonzero(start.tokens == _MASK).tolist()
    return {"first_step": start.first_step, "masked": masked, "starting_mask_ratio": short(start.starting_mask_ratio)}


def _tokens(given: Values) -> IntArray:
    height, width = given["grid"]
    return np.arange(height * width).reshape(height, width)


def _settings(given: Values) -> SamplerSettings:
    return SamplerSettings(steps=given["steps"], schedule=given.get("schedule", "linear"))


def _variation(given: Values) -> Values:
    seed, picture = int(given["seed"]), int(given["picture"])
    return _told(
        starts.variation(_tokens(given), given["strength"], _settings(given), _MASK, seed=seed, picture=picture)
    )


def _inpaintings_given() -> list[Values]:
    strengths = ((12, 1.0), (12, 0.6), (12, 1 / 12), (12, 0.05), (100, 0.29), (1, 1.0), (1, 0.5))
    covered: tuple[list[int], ...] = ([0], [3, 4, 8, 9, 13], list(range(20)), [])
    cases = [([4, 5], repaint, *each) for repaint, each in product(covered, strengths)]
    cases += [([16, 16], list(range(0, 256, 3)), 12, 1.0), ([16, 16], list(range(85, 105)), 12, 0.5)]
    return [
        {"grid": grid, "repaint": repaint, "steps": steps, "strength": strength}
        for grid, repaint, steps, strength in cases
    ]


def _inpainting(given: Values) -> Values:
    tokens = _tokens(given)
    repaint = np.isin(tokens, given["repaint"])
    return _told(starts.inpainting(lambda: tokens, repaint, given["strength"], _settings(given), _MASK))


SETS = (
    VectorSet("variation-starts", "Where a variation starts.", _variations_given, _variation),
    VectorSet(
        "inpainting-starts",
        "Where an in-painting starts; a strength that leaves no step for what is masked is refused.",
        _inpaintings_given,
        _inpainting,
    ),
)
