"""How the mask-predict loop runs: small frozen options, checked where they are built."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.schedule import SCHEDULES, Schedule, Temperature

_SEED_LIMIT = 2**64
_REAL_LIMIT = 1e6
"""Far above any useful guidance scale or temperature, far below what float32 arithmetic would turn into infinity."""


@dataclass(frozen=True)
class SamplerSettings:
    """Complete settings of the loop. The defaults are the reference's; a bundle's manifest carries its own.

    Attributes
    ----------
    steps
        Calls of the denoiser, 1 or more.
    guidance_scale
        Classifier-free guidance, 0 to 1e6; the unconditional branch runs only above 1.
    temperature
        Of the confidences, 0 to 1e6: (first step, last step), or a scalar T for (T, 0.01).
    schedule
        "cosine" or "linear".
    """

    steps: int = 12
    guidance_scale: float = 10.0
    temperature: Temperature = (2.0, 0.0)
    schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number("steps", self.steps, minimum=1))
        scale = _real("guidance_scale", self.guidance_scale)
        object.__setattr__(self, "guidance_scale", scale)
        object.__setattr__(self, "temperature", _temperature(self.temperature))
        if self.schedule not in SCHEDULES:
            raise OptionsError(f"schedule is {self.schedule!r}; choose one of: {', '.join(SCHEDULES)}")

    @property
    def guided(self) -> bool:
        """Whether the unconditional branch runs."""
        return self.guidance_scale > 1.0

    @property
    def branches(self) -> int:
        """Rows of a picture's denoiser call: 2 with guidance, else 1."""
        return 2 if self.guided else 1


@dataclass(frozen=True)
class GenerationOptions:
    """What a caller asks of the loop; None takes the bundle's own default.

    Attributes
    ----------
    seed
        Whole number in [0, 2^64). The same seed gives the same picture.
    steps, guidance_scale, temperature, schedule
        As in `SamplerSettings`.
    """

    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    temperature: Temperature | None = None
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        seed = whole_number("seed", self.seed, minimum=0)
        if seed >= _SEED_LIMIT:
            raise OptionsError(f"seed is {seed}; it must be below 2^64")
        object.__setattr__(self, "seed", seed)
        self.settings(SamplerSettings())  # every value that was given is checked here, not at first use

    def settings(self, defaults: SamplerSettings) -> SamplerSettings:
        """Fill what was left open from `defaults`."""
        return SamplerSettings(
            steps=defaults.steps if self.steps is None else self.steps,
            guidance_scale=(defaults.guidance_scale if self.guidance_scale is None else self.guidance_scale),
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            schedule=defaults.schedule if self.schedule is None else self.schedule,
        )


def whole_number(name: str, value: object, *, minimum: int) -> int:
    """Return `value` as an int, or raise `OptionsError` naming it if it is no whole number or below `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionsError(f"{name} is {value!r}; it must be a whole number")
    if value < minimum:
        raise OptionsError(f"{name} is {value}; it must be {minimum} or more")
    return int(value)


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or (isinstance(value, float) and math.isnan(value)):
        raise OptionsError(f"{name} is {value!r}; it must be a number")
    number: Any = value
    if not 0 <= number <= _REAL_LIMIT:
        raise OptionsError(f"{name} is {value}; it must be between 0 and {_REAL_LIMIT:g}")
    return float(number)


def _temperature(value: object) -> Temperature:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise OptionsError(f"temperature is {value!r}; give one number or a pair (first, last)")
        return (_real("temperature", value[0]), _real("temperature", value[1]))
    return _real("temperature", value)
