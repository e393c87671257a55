"""The loop that rivals draw with: diffusers' schedulers around a network of any engine."""

from collections.abc import Callable
from typing import Any

import diffusers
import torch

from amused_edge.benchmarks.rivals.models import Rival

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Latents (B, 4, h, w) and a timestep, a number -> the predicted noise."""

GUIDANCE_SCALE = 7.5


def make_scheduler(rival: Rival) -> Any:
    """Return the scheduler of a rival."""
    return getattr(diffusers, rival.scheduler)(**rival.scheduler_config)


@torch.no_grad()
def draw_latents(rival: Rival, denoise: Denoise, noise: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return finished latents.

    Parameters
    ----------
    denoise
        Called with all rows without the prompt, and behind them, if the rival is guided, all with it (Ho & Salimans
        2022).
    noise
        Of a standard normal distribution, (B, 4, h, w).
    generator
        Of the noise that a scheduler adds on the way.
    """
    scheduler = make_scheduler(rival)
    scheduler.set_timesteps(rival.steps)
    latents: torch.Tensor = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        rows = torch.cat([latents] * rival.branches)
        predicted = denoise(scheduler.scale_model_input(rows, timestep), timestep)
        if rival.guided:
            without, with_prompt = predicted.chunk(2)
            predicted = without + GUIDANCE_SCALE * (with_prompt - without)
        latents = scheduler.step(predicted, timestep, latents, generator=generator).prev_sample
    return latents
