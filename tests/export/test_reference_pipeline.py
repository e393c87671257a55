"""Our modules under the reference's own sampler: diffusers' pipeline on the demo, pinned pixels on the published ones.

The sampler is diffusers' AmusedScheduler with torch's generator, so the published figures can be met to the third
decimal. Their test needs a published checkpoint: AMUSED_EDGE_CHECKPOINT is the folder of amused-256 or amused-512.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer

# First values of image[0, -3:, -3:, -1] for "dog", seed 0, 2 steps, fp32, from diffusers' tests of the real models.
PINNED = {256: (0.4011, 0.3992, 0.379), 512: (0.1199, 0.1171, 0.1229)}
PINNED_TOLERANCE = 0.003


def draw(checkpoint: Checkpoint, tmp_path: Path, prompt: str, steps: int, scale: float) -> np.ndarray:
    """Draw with our modules and the reference's sampler, seed 0: (H, W, 3) in [0, 1]."""
    from diffusers import AmusedScheduler

    (tmp_path / "tokenizer.json").write_text(checkpoint.tokenizer.json, encoding="utf-8")
    ids = torch.from_numpy(PromptTokenizer(tmp_path / "tokenizer.json", 77)(["", prompt]))
    grid = checkpoint.uvit.sample_size
    side = float(grid * checkpoint.vqgan.factor)
    micro = torch.tensor([[side, side, 0.0, 0.0, 6.0]] * 2)
    scheduler = AmusedScheduler(mask_token_id=checkpoint.mask_token_id)
    scheduler.set_timesteps(steps, (2, 0))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.full((1, grid, grid), checkpoint.mask_token_id)
    with torch.no_grad():
        conditioning = checkpoint.conditioner()(*checkpoint.text_encoder()(ids), micro)
        denoiser = checkpoint.denoiser()
        for timestep in scheduler.timesteps:
            uncond, cond = denoiser(tokens.expand(2, -1, -1), *conditioning)
            logits = (uncond + scale * (cond - uncond)).T.reshape(1, -1, grid, grid)
            tokens = scheduler.step(logits, timestep, tokens, generator=generator).prev_sample.reshape(1, grid, grid)
        return checkpoint.image_decoder().pixels(tokens)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("scale", [1.25, 6.0])
def test_our_modules_draw_what_the_reference_pipeline_draws(
    demo_checkpoint: Path, tmp_path: Path, scale: float
) -> None:
    from diffusers import AmusedPipeline

    pipeline = AmusedPipeline.from_pretrained(demo_checkpoint, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    prompt = "a flat icon of a rocket on a black background"
    generator = torch.Generator().manual_seed(0)
    expected = pipeline(
        prompt, num_inference_steps=12, guidance_scale=scale, generator=generator, output_type="np"
    ).images[0]
    actual = draw(open_checkpoint(demo_checkpoint), tmp_path, prompt, 12, scale)
    assert np.abs(actual - expected).max() <= 1e-3


@pytest.mark.real_checkpoint
@pytest.mark.skipif(
    "AMUSED_EDGE_CHECKPOINT" not in os.environ, reason="AMUSED_EDGE_CHECKPOINT names no published checkpoint"
)
def test_a_published_checkpoint_meets_its_pinned_pixels(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(os.environ["AMUSED_EDGE_CHECKPOINT"])
    image = draw(checkpoint, tmp_path, "dog", 2, 10.0)
    pinned = PINNED[image.shape[0]]
    assert np.abs(image[-3, -3:, -1] - pinned).max() <= PINNED_TOLERANCE
