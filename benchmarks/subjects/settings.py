"""The settings of the loop that a benchmark goes through."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.sampling.options import SamplerSettings


def settings_grid(
    bundle: str | Path, steps: Sequence[int] | None, guidance: Sequence[float] | None
) -> tuple[SamplerSettings, ...]:
    """Return every pair of steps and guidance scale; what is not given is the bundle's default.

    Raises
    ------
    OptionsError
        A number is out of range.
    """
    defaults = Bundle.open(bundle).manifest.sampler
    return tuple(
        replace(defaults, steps=count, guidance_scale=scale)
        for count in steps or (defaults.steps,)
        for scale in guidance or (defaults.guidance_scale,)
    )
