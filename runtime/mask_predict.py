"""The mask-predict loop: draw every masked token, keep the confident ones, mask the rest again, repeat.

It knows tokens and logits; not prompts, graphs or pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.runtime import sampler
from amused_edge.runtime.errors import GenerationError
from amused_edge.runtime.options import SamplerSettings
from amused_edge.runtime.philox import Purpose, uniforms
from amused_edge.runtime.sampler import BoolArray, FloatArray, IntArray
from amused_edge.runtime.schedule import mask_length, temperature_at

Denoise = Callable[[int, IntArray, IntArray], FloatArray]
"""(picture's place in the batch, tokens (h, w), masked rows (M,)) -> guided logits (M, V) of those rows."""


@dataclass(frozen=True)
class Step:
    """State after one step, B pictures on a grid of h x w tokens.

    Attributes
    ----------
    index, steps
        This step, from 0, and how many there are.
    tokens
        (B, h, w) int64; the mask id where `mask` is set.
    predicted
        (B, h, w) int64: the same without a mask, every position as drawn or known.
    mask
        (B, h, w) bool: masked again after this step; nowhere after the last.
    confidence
        (B, h, w) float32: log-probability of the drawn token plus its noise; +inf where the token was known before.
    """

    index: int
    steps: int
    tokens: IntArray
    predicted: IntArray
    mask: BoolArray
    confidence: FloatArray


def mask_predict(
    denoise: Denoise,
    tokens: IntArray,
    pictures: Sequence[int],
    *,
    seed: int,
    settings: SamplerSettings,
    mask_token_id: int,
    starting_mask_ratio: float = 1.0,
) -> Iterator[Step]:
    """Run the loop from `tokens` (B, h, w) int64, yielding a `Step` after each; the caller may stop at any time.

    Parameters
    ----------
    denoise
        Returns the guided logits of one picture's masked rows.
    pictures
        (B,) index of each picture's random stream.
    starting_mask_ratio
        Share of the grid masked at the start, in (0, 1].
    """
    size, height, width = tokens.shape
    for step in range(settings.steps):
        drawn = [
            _step(
                lambda rows, b=b: denoise(b, tokens[b], rows),  # type: ignore[misc]
                tokens[b].reshape(-1),
                _Noise(seed, pictures[b], step),
                step,
                settings,
                mask_token_id,
                starting_mask_ratio,
            )
            for b in range(size)
        ]
        shape = (size, height, width)
        predicted = np.stack([d[0] for d in drawn]).reshape(shape)
        mask = np.stack([d[1] for d in drawn]).reshape(shape)
        confidence = np.stack([d[2] for d in drawn]).reshape(shape)
        tokens = np.where(mask, np.int64(mask_token_id), predicted)
        yield Step(step, settings.steps, tokens, predicted, mask, confidence)


@dataclass(frozen=True)
class _Noise:
    """The uniforms of one picture at one step."""

    seed: int
    picture: int
    step: int

    def tokens(self, rows: IntArray, positions: int, codes: int) -> FloatArray:
        """(M, V): row i of the full (N, V) table for each masked position i, so noise belongs to a position."""
        table = self._draw(positions * codes, Purpose.TOKENS).reshape(positions, codes)
        return table if len(rows) == positions else table[rows]

    def confidence(self, positions: int) -> FloatArray:
        return self._draw(positions, Purpose.CONFIDENCE)

    def _draw(self, count: int, purpose: Purpose) -> FloatArray:
        return uniforms(count, seed=self.seed, picture=self.picture, step=self.step, purpose=purpose)


def _step(
    logits_of: Callable[[IntArray], FloatArray],
    tokens: IntArray,
    noise: _Noise,
    step: int,
    settings: SamplerSettings,
    mask_token_id: int,
    starting_mask_ratio: float,
) -> tuple[IntArray, BoolArray, FloatArray]:
    """One step of one picture: (N,) tokens -> (N,) predicted tokens, mask and confidence."""
    count = len(tokens)
    rows = np.flatnonzero(tokens == mask_token_id)
    predicted = tokens.copy()
    log_probability = np.empty(0, np.float32)
    if len(rows):
        logits = logits_of(rows)
        drawn = sampler.draw_tokens(logits, noise.tokens(rows, count, logits.shape[1]))
        log_probability = sampler.log_probabilities(logits, drawn)
        if not np.isfinite(log_probability).all():
            raise GenerationError(
                f"the denoiser returned logits that are not finite at step {step + 1}; the bundle does not fit this engine, "
                "try another recipe or engine"
            )
        predicted[rows] = drawn
    temperature = temperature_at(settings.temperature, step, settings.steps)
    confidence = sampler.confidences(log_probability, noise.confidence(count), temperature, rows)
    remaining = 0
    if step < settings.steps - 1:
        remaining = mask_length(
            settings.schedule,
            step,
            settings.steps,
            sequence_length=count,
            unknown=len(rows),
            starting_mask_ratio=starting_mask_ratio,
        )
    return predicted, sampler.remask(confidence, remaining), confidence
