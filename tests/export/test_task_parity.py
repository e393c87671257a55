"""Variation and in-painting of the demo bundle beside diffusers' own pipelines: the same noise, step by step.

The reference's U-ViT answers with the bundle's logits (its own are compared with them), so that everything else, from
the picture's tokens to the masks and the schedule, must be the same to the token.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AmusedImg2ImgPipeline, AmusedInpaintPipeline, AmusedScheduler
from diffusers.schedulers import scheduling_amused
from numpy.typing import NDArray
from PIL import Image

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.tasks.kinds import Inpainting, Task, Variation
from tests.support.paths import DEMO_CHECKPOINT

SEED, SIDE, GRID, STEPS = 9, 64, 16, 12
POSITIONS = GRID * GRID
PROMPT, OTHER = "a flat icon of a fox on a blue background", "a drawing of a panda on a yellow background"


@pytest.fixture(scope="module")
def pipeline(demo_bundle: Path) -> Iterator[AmusedPipeline]:
    engine = EngineOptions(spinning=False)  # its idle threads would slow torch down
    with AmusedPipeline(Bundle.open(demo_bundle), engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def photo(pipeline: AmusedPipeline) -> Image.Image:
    """A picture that is not the VQ-GAN's own: with a smooth change of brightness over it."""
    image = pipeline.generate(PROMPT, GenerationOptions(seed=SEED)).images[0].astype(np.float32)
    image *= np.linspace(0.8, 1.0, SIDE, dtype=np.float32)[:, None, None]
    return Image.fromarray(np.rint(image).astype(np.uint8))


class Reference:
    """One of diffusers' pipelines over the demo checkpoint, our numbers in the place of torch's generator."""

    def __init__(self, kind: Any, pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch, picture: int) -> None:
        self.pipe = kind.from_pretrained(DEMO_CHECKPOINT, torch_dtype=torch.float32)
        self.pipe.set_progress_bar_config(disable=True)
        self.pipeline, self.picture = pipeline, picture
        self.tokens: list[NDArray[np.int64]] = []
        self.worst = 0.0
        self.masked_at_start = -1
        self._forward, self._step = self.pipe.transformer.forward, AmusedScheduler.step
        self._monkeypatch = monkeypatch
        self._conditioning = pipeline.condition(["", OTHER])
        monkeypatch.setattr(self.pipe.transformer, "forward", self.forward)
        monkeypatch.setattr(AmusedScheduler, "step", lambda _, *args, **kwargs: self.step(*args, **kwargs))
        start = self.noise(POSITIONS, 0, Purpose.START_MASK).reshape(1, GRID, GRID)
        monkeypatch.setattr(torch, "rand", lambda *_, **__: torch.from_numpy(start))

    def noise(self, count: int, step: int, purpose: Purpose) -> NDArray[np.float32]:
        return uniforms(count, seed=SEED, picture=self.picture, step=step, purpose=purpose)

    def forward(self, input_ids: torch.Tensor, **conditions: Any) -> torch.Tensor:
        conditions.pop("cross_attention_kwargs")
        theirs = self._forward(input_ids, **conditions)
        if self.masked_at_start < 0:
            self.masked_at_start = int((input_ids[0] == 319).sum())
        ours = self.pipeline.graph("denoiser")({"tokens": input_ids.numpy(), **self._conditioning})["logits"]
        answer = torch.from_numpy(ours).transpose(1, 2).reshape(theirs.shape)
        self.worst = max(self.worst, float((answer - theirs).abs().max() / theirs.abs().max()))
        return answer

    def step(
        self, model_output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, *rest: Any, **named: Any
    ) -> Any:
        index = STEPS - 1 - int(timestep)
        logits = model_output[0].flatten(1).T.numpy()
        noise = self.noise(POSITIONS * logits.shape[1], index, Purpose.TOKENS).reshape(logits.shape)
        drawn = torch.from_numpy(sampler.draw_tokens(np.ascontiguousarray(logits), noise))[:, None]
        gumbel = torch.from_numpy(sampler.gumbel(self.noise(POSITIONS, index, Purpose.CONFIDENCE)))[None]
        self._monkeypatch.setattr(torch, "multinomial", lambda *_, **__: drawn)
        self._monkeypatch.setattr(scheduling_amused, "gumbel_noise", lambda *_, **__: gumbel)
        output = self._step(self.pipe.scheduler, model_output, timestep, sample, *rest, **named)
        self.tokens.append(output.prev_sample.numpy()[0])
        return output

    def draw(self, **options: Any) -> NDArray[np.float32]:
        """Return the picture (H, W, 3) in [0, 1]."""
        drawn = self.pipe(OTHER, num_inference_steps=STEPS, guidance_scale=3.0, output_type="np", **options)
        image: NDArray[np.float32] = drawn.images[0]
        return image


def compare(pipeline: AmusedPipeline, reference: Reference, expected: NDArray[np.float32], task: Task) -> None:
    """All tokens of all steps, and the picture."""
    options = GenerationOptions(seed=SEED, steps=STEPS, guidance_scale=3.0)
    (state,) = pipeline.begin(task, options)
    assert np.sum(state.tokens == 319) == reference.masked_at_start
    steps = list(pipeline.resume(state, task))
    assert [step.index for step in steps] == list(range(STEPS - len(reference.tokens), STEPS))
    for step, tokens in zip(steps, reference.tokens, strict=True):
        assert np.array_equal(step.tokens[0], tokens), f"step {step.index}"
    assert reference.worst <= 1e-4
    image = pipeline.generate(task, options).images[0]
    assert np.abs(image / 255 - expected).max() <= 1 / 255


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.7, 0.9])
def test_a_variation_is_the_references(
    strength: float, pipeline: AmusedPipeline, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference(AmusedImg2ImgPipeline, pipeline, monkeypatch, picture=2)
    expected = reference.draw(image=photo, strength=strength)
    assert 0 < reference.masked_at_start < POSITIONS
    compare(pipeline, reference, expected, Variation(OTHER, photo, strength, first_picture=2))


def half() -> NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, SIDE // 2 :] = 255
    return mask


def centre() -> NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[18:46, 18:46] = 255
    return mask


def one_token() -> NDArray[np.uint8]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:24, 40:44] = 255
    return mask


def everything() -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE), 255, np.uint8)


def grey() -> NDArray[np.uint8]:
    """Levels on both sides of the threshold, and edges across tokens."""
    return np.rint(np.linspace(90, 170, SIDE)).astype(np.uint8)[None].repeat(SIDE, 0)


@pytest.mark.parametrize(
    ("mask", "strength"),
    [
        (half(), 1.0),
        (half(), 0.5),
        (half(), 0.2),
        (centre(), 1.0),
        (centre(), 0.9),
        (one_token(), 1.0),
        (everything(), 1.0),
        (everything(), 0.5),
        (grey(), 1.0),
    ],
    ids=["half", "half-0.5", "half-0.2", "centre", "centre-0.9", "one", "all", "all-0.5", "grey"],
)
def test_an_inpainting_is_the_references(
    mask: NDArray[np.uint8],
    strength: float,
    pipeline: AmusedPipeline,
    photo: Image.Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = Reference(AmusedInpaintPipeline, pipeline, monkeypatch, picture=0)
    expected = reference.draw(image=photo, mask_image=Image.fromarray(mask), strength=strength)
    compare(pipeline, reference, expected, Inpainting(OTHER, photo, mask, strength, paste_back=False))
