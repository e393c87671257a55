"""A whole generation of the demo bundle beside diffusers' own networks, step by step with the same noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from tests.support.reference import Reference

SEED = 5
PROMPTS = ["a red fox on a blue background", "", "ein Füchslein 🦊 vor blauem Grund — 狐", "a castle, a castle! " * 12]


@pytest.fixture(scope="module")
def pipeline(demo_bundle: Path) -> Iterator[AmusedPipeline]:
    engine = EngineOptions(spinning=False)  # its idle threads would slow torch down
    with AmusedPipeline(Bundle.open(demo_bundle), engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


@dataclass
class SideBySide:
    """Answers the loop with the bundle's guided logits and compares the draws with the reference's."""

    pipeline: AmusedPipeline
    reference: Reference
    prompts: list[str]
    scale: float

    def __post_init__(self) -> None:
        self.conditioning = self.pipeline.condition(self.prompts)
        self.encoded = self.reference.encode(self.prompts)
        self.steps = 0
        self.differing = 0
        self.worst = 0.0

    def guided(self, logits: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        if len(logits) == 1:
            return logits[0, rows]
        unconditional, conditional = logits[:, rows]
        return unconditional + np.float32(self.scale) * (conditional - unconditional)

    def __call__(
        self, index: int, step: int, tokens: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        batch = np.stack([tokens] * len(self.prompts))
        bundle = self.pipeline.graph("denoiser")({"tokens": batch, **self.conditioning})["logits"]
        with torch.no_grad():
            maps = self.reference.uvit(torch.from_numpy(batch), *self.encoded)
        ours = self.guided(bundle, rows)
        theirs = self.guided(maps.flatten(2).transpose(1, 2).numpy(), rows)
        self.compare(ours, theirs, rows, tokens.size)
        self.steps += 1
        return ours

    def compare(
        self, ours: NDArray[np.float32], theirs: NDArray[np.float32], rows: NDArray[np.int64], positions: int
    ) -> None:
        errors = np.abs(ours.astype(np.float64) - theirs)
        self.worst = max(self.worst, float(errors.max() / np.abs(theirs).max()))
        codes = ours.shape[1]
        noise = uniforms(positions * codes, seed=SEED, picture=0, step=self.steps, purpose=Purpose.TOKENS)
        noise = noise.reshape(positions, codes)[rows]
        differs = sampler.draw_tokens(ours, noise) != sampler.draw_tokens(theirs, noise)
        best = np.sort(theirs + sampler.gumbel(noise), axis=1)
        margin = best[:, -1] - best[:, -2]
        assert (margin < 2 * errors.max(axis=1))[differs].all()
        self.differing += int(differs.sum())


# (prompt, guidance scale, steps); a scale of None is the bundle's own, 1.25
@pytest.mark.parametrize(
    ("prompt", "scale", "steps"),
    [
        (0, None, 12),
        (0, 4.0, 12),
        (0, 0.0, 12),
        (0, None, 1),
        (1, 4.0, 12),
        (1, 0.0, 1),
        (2, None, 12),
        (2, 0.0, 12),
        (2, 4.0, 1),
        (3, 4.0, 12),
    ],
)
def test_a_generation_is_the_references(
    prompt: int, scale: float | None, steps: int, pipeline: AmusedPipeline, reference: Reference
) -> None:
    text = PROMPTS[prompt]
    options = GenerationOptions(seed=SEED, steps=steps, guidance_scale=scale)
    settings = pipeline.settings(options)
    prompts = ["", text] if settings.guided else [text]
    both = SideBySide(pipeline, reference, prompts, settings.guidance_scale)
    start = np.full((1, 16, 16), 319)
    *_, last = mask_predict(both, start, [0], seed=SEED, settings=settings, mask_token_id=319)
    assert both.steps == steps
    assert both.differing <= 2
    assert both.worst <= 1e-4
    result = pipeline.generate(text, options)
    assert np.array_equal(result.tokens, last.tokens)
    assert last.tokens.max() < 256
    difference = np.abs(result.images[0] / 255 - reference.decode(last.tokens))
    assert difference.max() <= 1 / 255


def test_guidance_and_prompt_change_the_picture(pipeline: AmusedPipeline) -> None:
    """Guards the comparison above: a pipeline deaf to its prompt would agree with a deaf reference."""
    pictures = [
        pipeline.generate(prompt, GenerationOptions(seed=SEED, guidance_scale=scale)).tokens
        for prompt in PROMPTS[:2]
        for scale in (0.0, 4.0)
    ]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
