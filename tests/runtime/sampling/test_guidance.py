"""The guidance scale of each step, beside its definition in fractions; a ramp's wave as the square of a sine."""

import math
from fractions import Fraction
from typing import Any

import pytest

from amused_edge.runtime.sampling.schedule import GUIDANCE_RAMPS, guidance_at

INTERVALS = ((0.0, 1.0), (0.25, 0.75), (0.125, 0.375), (0.0, 0.0), (0.5, 0.5), (1.0, 1.0))
"""At 4 steps, the middles of their shares are 1/8, 3/8, 5/8 and 7/8; of one step, 1/2: both ends count."""


def expected(scale: float, ramp: str, interval: tuple[float, float], step: int, steps: int) -> float:
    middle = Fraction(2 * step + 1, 2 * steps)
    if not Fraction(interval[0]) <= middle <= Fraction(interval[1]):
        return min(scale, 1.0)
    if scale <= 1:
        return scale
    if ramp == "constant" or steps == 1:
        return scale
    share = Fraction(step, steps - 1)
    risen = float(share) if ramp == "linear" else math.sin(math.pi * float(share) / 2) ** 2
    return 1 + (scale - 1) * risen


@pytest.mark.parametrize("ramp", GUIDANCE_RAMPS)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 12])
def test_every_step(ramp: Any, steps: int) -> None:
    """Also where there is none: a scale of 1 or less; and between 1 and 2, where a limit of 2 would show."""
    for scale in (0.0, 0.5, 1.0, 1.5, 2.0, 10.0):
        for interval in INTERVALS:
            for step in range(steps):
                found = guidance_at(scale, ramp, interval, step, steps)
                wanted = expected(scale, ramp, interval, step, steps)
                assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12), (scale, interval, step)


@pytest.mark.parametrize("ramp", GUIDANCE_RAMPS)
def test_the_last_step_of_a_ramp_has_the_whole_scale(ramp: Any) -> None:
    assert [guidance_at(7.5, ramp, (0.0, 1.0), steps - 1, steps) for steps in range(1, 40)] == [7.5] * 39
