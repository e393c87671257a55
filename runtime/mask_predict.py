"""The mask-predict loop: draw every masked token, keep the confident ones, mask the rest again, repeat.

It knows tokens and logits; not prompts, graphs or pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

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
    for index in range(settings.steps):
        loop = _StepRules(index, settings, mask_token_id, starting_mask_ratio)
        drawn = [
            _step(partial(denoise, b), grid, _Noise(seed, picture, index), loop)
            for b, (grid, picture) in enumerate(zip(tokens, pictures, strict=True))
        ]
        predicted, mask, confidence = (np.stack(part) for part in zip(*drawn, strict=True))
        tokens = np.where(mask, np.int64(mask_token_id), predicted)
        yield Step(index, settings.steps, tokens, predicted, mask, confidence)


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


@dataclass(frozen=True)
class _StepRules:
    """What all pictures of one step share."""

    index: int
    settings: SamplerSettings
    mask_token_id: int
    starting_mask_ratio: float

    @property
    def temperature(self) -> np.float32:
        return temperature_at(self.settings.temperature, self.index, self.settings.steps)

    def mask_length(self, positions: int, unknown: int) -> int:
        """How many of `positions` stay masked, of which `unknown` were masked before; none after the last step."""
        if self.index == self.settings.steps - 1:
            return 0
        return mask_length(
            self.settings.schedule,
            self.index,
            self.settings.steps,
            sequence_length=positions,
            unknown=unknown,
            starting_mask_ratio=self.starting_mask_ratio,
        )


def _step(
    denoise: Callable[[IntArray, IntArray], FloatArray], grid: IntArray, noise: _Noise, rules: _StepRules
) -> tuple[IntArray, BoolArray, FloatArray]:
    """One step of one picture: tokens (h, w) -> predicted tokens, mask and confidence, each (h, w)."""
    predicted = grid.flatten()
    rows = np.flatnonzero(predicted == rules.mask_token_id)
    log_probability = np.empty(0, np.float32)
    if len(rows):
        logits = denoise(grid, rows)
        drawn = sampler.draw_tokens(logits, noise.tokens(rows, grid.size, logits.shape[1]))
        log_probability = sampler.log_probabilities(logits, drawn)
        if not np.isfinite(log_probability).all():
            raise GenerationError(
                f"the denoiser returned logits that are not finite at step {rules.index + 1}; "
                "the bundle does not fit this engine; try another engine"
            )
        predicted[rows] = drawn
    confidence = sampler.confidences(log_probability, noise.confidence(grid.size), rules.temperature, rows)
    mask = sampler.remask(confidence, rules.mask_length(grid.size, len(rows)))
    return predicted.reshape(grid.shape), mask.reshape(grid.shape), confidence.reshape(grid.shape)
