"""How the mask-predict loop runs: small frozen options, checked where they are built."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from amused_edge.runtime.checks import choice, real_number, whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.sampling.schedule import (
    GUIDANCE_RAMPS,
    SCHEDULES,
    GuidanceRamp,
    Schedule,
    Temperature,
    guidance_at,
)

Order = Literal["confidence", "halton", "moment"]
ORDERS: tuple[str, ...] = get_args(Order)


LATER_OPTIONS: dict[str, Any] = {"entropy_bound": 0.0, "row_cache": 0}
"""Settings that came after the first form of files -> where they are off. A bundle has them off, and files name them
only where they are on, so that a runtime without them reads all others and refuses these.
"""

_LATER_ORDERS = ("moment",)
"""Orders that came later, too."""

_SEED_LIMIT = 2**64
_STEPS_LIMIT = 10_000


@dataclass(frozen=True)
class SamplerSettings:
    """Complete settings of the loop. The defaults are the reference's; a bundle's manifest carries its own.

    Attributes
    ----------
    steps
        Calls of the denoiser, 1 to 10,000.
    guidance_scale
        Classifier-free guidance, 0 to 1e6; the unconditional branch runs only above 1.
    temperature
        Of the confidences, 0 to 1e6: (first step, last step), or a scalar T for (T, 0.01).
    schedule
        "cosine" or "linear".
    guidance_ramp
        How guidance grows: "constant", "linear" or "cosine", see `schedule.guidance_at`.
    guidance_interval
        Shares of the run, 0 to 1, between which guidance is on. A step outside it is cheaper.
    order
        Which tokens stay: the most confident ("confidence", the reference), those that a Halton sequence reaches
        next ("halton"), which takes no temperature, or those of whose positions the model is most sure ("moment"),
        whose tokens are drawn sharper: from `p^(1 + 1 / temperature)`, at 0 the most likely one.
    entropy_bound
        In nats, 0 to 1e6. Above 0, more tokens stay after a step than the schedule keeps, as long as the entropies of
        all that stay, without the largest, sum up to this at most; once none is masked, the steps that are left call
        no denoiser. 0 is off.
    row_cache
        0 to 10,000. Above 0, the denoiser's layers compute only the rows that were masked a step before, and keep the
        others as they were; all are computed at every step whose number, from 0, is a multiple of this, and where
        nothing is kept yet. Needs a bundle that was exported with a row cache. 0 is off.
    """

    steps: int = 12
    guidance_scale: float = 10.0
    temperature: Temperature = (2.0, 0.0)
    schedule: Schedule = "cosine"
    guidance_ramp: GuidanceRamp = "constant"
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    order: Order = "confidence"
    entropy_bound: float = 0.0
    row_cache: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number("steps", self.steps, minimum=1, maximum=_STEPS_LIMIT))
        scale = real_number("guidance_scale", self.guidance_scale)
        object.__setattr__(self, "guidance_scale", scale)
        object.__setattr__(self, "temperature", _temperature(self.temperature))
        object.__setattr__(self, "guidance_interval", _interval(self.guidance_interval))
        choice("schedule", self.schedule, SCHEDULES)
        choice("guidance_ramp", self.guidance_ramp, GUIDANCE_RAMPS)
        choice("order", self.order, ORDERS)
        object.__setattr__(self, "entropy_bound", real_number("entropy_bound", self.entropy_bound))
        kept = whole_number("row_cache", self.row_cache, minimum=0, maximum=_STEPS_LIMIT)
        object.__setattr__(self, "row_cache", kept)

    def to_dict(self) -> dict[str, Any]:
        """Return them as files name them: without those of `LATER_OPTIONS` that are off."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in LATER_OPTIONS or field.name in self.later
        }

    @property
    def later(self) -> list[str]:
        """Names of the settings that only runtimes of a later form of files know, and that are on."""
        on = [name for name, off in LATER_OPTIONS.items() if getattr(self, name) != off]
        return [*on, "order"] if self.order in _LATER_ORDERS else on

    def guidance_at(self, step: int) -> float:
        """Return the guidance scale of a step, from 0; the unconditional branch runs where it is above 1."""
        return guidance_at(self.guidance_scale, self.guidance_ramp, self.guidance_interval, step, self.steps)

    @property
    def guided(self) -> bool:
        """Whether the unconditional branch runs at any step."""
        return any(self.guidance_at(step) > 1.0 for step in range(self.steps))

    @property
    def branches(self) -> int:
        """Rows of a guided denoiser call: 2, or 1 where no step is guided."""
        return 2 if self.guided else 1


@dataclass(frozen=True)
class GenerationOptions:
    """What a caller asks of the loop; None takes the bundle's own default.

    Attributes
    ----------
    seed
        Whole number in [0, 2^64). The same seed gives the same picture.
    steps, guidance_scale, temperature, schedule, guidance_ramp, guidance_interval, order, entropy_bound, row_cache
        As in `SamplerSettings`.
    """

    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    temperature: Temperature | None = None
    schedule: Schedule | None = None
    guidance_ramp: GuidanceRamp | None = None
    guidance_interval: tuple[float, float] | None = None
    order: Order | None = None
    entropy_bound: float | None = None
    row_cache: int | None = None

    def __post_init__(self) -> None:
        seed = whole_number("seed", self.seed, minimum=0)
        if seed >= _SEED_LIMIT:
            raise OptionsError(f"seed is {quoted(seed)}; it must be below 2^64")
        object.__setattr__(self, "seed", seed)
        self.settings(SamplerSettings())  # every value that was given is checked here, not at first use

    def settings(self, defaults: SamplerSettings) -> SamplerSettings:
        """Fill what was left open from `defaults`."""
        given = {f.name: getattr(self, f.name) for f in fields(SamplerSettings)}
        return replace(defaults, **{name: value for name, value in given.items() if value is not None})


def _temperature(value: object) -> Temperature:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise OptionsError(f"temperature is {quoted(value)}; give one number or a pair (first, last)")
        return (real_number("temperature", value[0]), real_number("temperature", value[1]))
    return real_number("temperature", value)


def _interval(value: object) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise OptionsError(f"guidance_interval is {quoted(value)}; give a pair (begin, end) of shares of the run")
    begin, end = (real_number("guidance_interval", share) for share in value)
    if not begin <= end <= 1.0:
        raise OptionsError(f"guidance_interval is {quoted(value)}; its shares must rise within 0 to 1")
    return (begin, end)
