"""The settings of the loop that a benchmark goes through."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.drawing.row_cache import check_row_cache
from amused_edge.runtime.sampling.options import Order, SamplerSettings


def search_grid(
    bundle: str | Path,
    steps: Sequence[int],
    guidance: Sequence[float] | None,
    temperature: Sequence[float] | None,
    order: Sequence[Order] | None,
    entropy_bound: Sequence[float] | None,
    row_cache: Sequence[int] | None = None,
) -> tuple[SamplerSettings, tuple[SamplerSettings, ...]]:
    """Return the bundle's own settings, and every combination; what is not given is the bundle's.

    Parameters
    ----------
    temperature
        Of the first step; that of the last one is 0.

    Raises
    ------
    OptionsError
        A number is out of range, or the bundle has no row cache.
    """
    opened = Bundle.open(bundle)
    own = opened.manifest.sampler
    grid = tuple(
        replace(each, temperature=heat, order=kept, entropy_bound=bound, row_cache=every)
        for each in settings_grid(bundle, steps, guidance)
        for heat in ([(first, 0.0) for first in temperature] if temperature else [own.temperature])
        for kept in order or (own.order,)
        for bound in entropy_bound or (own.entropy_bound,)
        for every in row_cache or (own.row_cache,)
    )
    for each in grid:
        check_row_cache(each, opened)
    return own, grid


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
