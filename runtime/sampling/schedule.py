"""How many tokens stay masked after each step, how noisy the confidences are, and how strong guidance is.

Ratios and temperatures are float32, operation by operation, as in the reference scheduler: at ratio 2/3 the float32
cosine is 0.49999997, so 12 steps over 256 tokens leave 127 masked, not 128.
"""

import math
from typing import Literal, get_args

import numpy as np

Schedule = Literal["cosine", "linear"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

Temperature = float | tuple[float, float]

GuidanceRamp = Literal["constant", "linear", "cosine"]
GUIDANCE_RAMPS: tuple[str, ...] = get_args(GuidanceRamp)

_SCALAR_TEMPERATURE_END = 0.01
"""Where the reference lets a scalar temperature end."""


def mask_ratio(schedule: Schedule, step: int, steps: int) -> np.float32:
    """Return the share of tokens that stays masked after step `step` (from 0) of `steps`, in [0, 1), float32."""
    ratio = np.float32(step + 1) / np.float32(steps)
    if schedule == "linear":
        return np.float32(1) - ratio
    angle = ratio * np.float32(np.pi) / np.float32(2)
    # The float32 angle is what counts; its cosine is rounded once, so it does not depend on a library's float32 cosine.
    return np.float32(np.cos(np.float64(angle)))


def mask_length(
    schedule: Schedule,
    step: int,
    steps: int,
    *,
    sequence_length: int,
    unknown: int,
    starting_mask_ratio: float = 1.0,
) -> int:
    """Return how many tokens of one picture stay masked after a step that is not the last.

    Parameters
    ----------
    sequence_length
        Tokens of the whole grid.
    unknown
        Tokens masked before the step. With none unknown, none is masked (the reference would mask one known token).
    starting_mask_ratio
        Share of the grid masked at the start, in (0, 1].

    Notes
    -----
    `max(1, min(unknown - 1, floor(sequence_length * starting_mask_ratio * mask_ratio)))`, arXiv 2401.01808 and the
    reference scheduler.
    """
    if unknown == 0:
        return 0
    ratio = np.float32(starting_mask_ratio) * mask_ratio(schedule, step, steps)
    scheduled = int(np.floor(np.float32(sequence_length) * ratio))
    return max(1, min(unknown - 1, scheduled))


def temperature_at(temperature: Temperature, step: int, steps: int) -> np.float32:
    """Return the confidence temperature of a step: linear from the first to the second value over all steps.

    A scalar T stands for (T, 0.01). One step uses the first value.
    """
    first, last = temperature if isinstance(temperature, tuple) else (temperature, _SCALAR_TEMPERATURE_END)
    return np.float32(np.linspace(first, last, steps, dtype=np.float32)[step])


def guidance_at(scale: float, ramp: GuidanceRamp, interval: tuple[float, float], step: int, steps: int) -> float:
    """Return the guidance scale of a step; 1, no guidance, outside the interval.

    Parameters
    ----------
    scale
        Where the ramp ends. 1 or less is no guidance at any step.
    ramp
        "constant"; or from 1 at the first step to `scale` at the last: "linear" (Chang et al., "Muse", 2023) or half a
        "cosine" wave. One step has the full scale.
    interval
        Shares of the run in [0, 1] between which guidance is on (Kynkäänniemi et al., "Applying Guidance in a Limited
        Interval", 2024). A step stands at the middle of its share, `(step + 0.5) / steps`.
    """
    if scale <= 1.0 or not interval[0] <= (step + 0.5) / steps <= interval[1]:
        return min(scale, 1.0)
    if ramp == "constant" or steps == 1:
        return scale
    share = step / (steps - 1)
    return 1.0 + (scale - 1.0) * (share if ramp == "linear" else (1.0 - math.cos(math.pi * share)) / 2.0)
