"""Where a picture's loop starts: which tokens are masked, and at which step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amused_edge.runtime.arrays import BoolArray, IntArray
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.sampling.schedule import mask_ratio


@dataclass(frozen=True)
class Start:
    """The beginning of one picture.

    Attributes
    ----------
    tokens
        (h, w) int64.
    first_step
        Steps before it are left out; all of them where it is the number of steps.
    starting_mask_ratio
        Share of the grid that the schedule starts from, in (0, 1].
    """

    tokens: IntArray
    first_step: int = 0
    starting_mask_ratio: float = 1.0


def all_masked(geometry: Geometry) -> Start:
    """Start from nothing."""
    shape = (geometry.grid_height, geometry.grid_width)
    return Start(np.full(shape, geometry.mask_token_id, np.int64))


def variation(
    tokens: IntArray, strength: float, settings: SamplerSettings, mask_token_id: int, *, seed: int, picture: int
) -> Start:
    """Mask each of an image's tokens (h, w) with the probability that the schedule gives the step before the first.

    A strength of 1 masks all, where the reference, which reads the last mask ratio then, masks none.
    """
    first_step = settings.steps - int(settings.steps * strength)
    if first_step == 0:
        return Start(np.full_like(tokens, mask_token_id))
    if first_step == settings.steps:
        return Start(tokens, first_step)
    noise = uniforms(tokens.size, seed=seed, picture=picture, step=0, purpose=Purpose.START_MASK).reshape(tokens.shape)
    masked = noise < mask_ratio(settings.schedule, first_step - 1, settings.steps)
    return Start(np.where(masked, np.int64(mask_token_id), tokens), first_step)


def inpainting(
    encode: Callable[[], IntArray],
    repaint: BoolArray,
    strength: float,
    settings: SamplerSettings,
    mask_token_id: int,
) -> Start:
    """Mask what `repaint` (h, w) covers; the schedule starts from its share of the grid. Without any token to repaint
    there is no step.

    Parameters
    ----------
    encode
        Returns the picture's tokens (h, w); called once the strength is known to be good, as it takes its time.

    Raises
    ------
    OptionsError
        The strength leaves no step to draw the masked tokens in.
    """
    first_step = _inpainting_step(repaint, strength, settings)
    share = float(np.float32(repaint.mean())) if repaint.any() else 1.0
    return Start(np.where(repaint, np.int64(mask_token_id), encode()), first_step, share)


def _inpainting_step(repaint: BoolArray, strength: float, settings: SamplerSettings) -> int:
    if not repaint.any():
        return settings.steps
    first_step = settings.steps - int(settings.steps * strength)
    if first_step == settings.steps:
        least = math.ceil(1e5 / settings.steps) / 1e5
        raise OptionsError(
            f"strength {strength:g} of {settings.steps} steps leaves none to draw what the mask covers; give at least "
            f"{least:g}"
        )
    return first_step
