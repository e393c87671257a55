"""The mask-predict loop: draw every masked token, keep the confident ones, mask the rest again, repeat.

It knows tokens and logits; not prompts, graphs or pixels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from amused_edge.runtime.arrays import BoolArray, FloatArray, IntArray
from amused_edge.runtime.errors import GenerationError
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.halton import halton_order
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.sampling.schedule import mask_length, temperature_at

Denoise = Callable[[int, int, IntArray, IntArray], FloatArray]
"""(picture's place in the batch, step from 0, tokens (h, w), masked rows (M,)) -> guided logits (M, V) of the rows."""


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
        (B, h, w) float32: what the least of were masked again. Log-probability of the drawn token plus its noise, or
        its position's moment plus noise (`sampler.log_moments`), or the place in the Halton order, negative; +inf where
        the token was known before.
    probability
        (B, h, w) float32: what softmax(logits) gave each token when it was drawn; 1 for those given at the start.
    """

    index: int
    steps: int
    tokens: IntArray
    predicted: IntArray
    mask: BoolArray
    confidence: FloatArray
    probability: FloatArray

    @property
    def idle(self) -> bool:
        """Whether nothing was drawn, as all pictures were finished before: with an entropy bound, the last steps."""
        return bool(np.isposinf(self.confidence).all())


def mask_predict(
    denoise: Denoise,
    tokens: IntArray,
    pictures: Sequence[int],
    *,
    seed: int,
    settings: SamplerSettings,
    mask_token_id: int,
    starting_mask_ratio: Sequence[float] | None = None,
    first_step: int = 0,
    probability: FloatArray | None = None,
    noise_step: int = 0,
) -> Iterator[Step]:
    """Run the loop from `tokens` (B, h, w) int64, yielding a `Step` after each; the caller may stop at any time.

    It goes on from any `Step` exactly as if it had not stopped: with the step's `tokens` and `probability`, and
    `first_step` after it.

    Parameters
    ----------
    denoise
        Returns the guided logits of one picture's masked rows.
    pictures
        (B,) index of each picture's random stream.
    starting_mask_ratio
        (B,) share of each grid that the schedule starts from, in (0, 1]; 1 where None.
    first_step
        0 or more; steps before it are left out.
    probability
        (B, h, w) float32 of the tokens that are known; 1 where None.
    noise_step
        What is added to a step's number where its random numbers are looked up, so that frames of a clip have their
        own.
    """
    ratios = [1.0] * len(tokens) if starting_mask_ratio is None else starting_mask_ratio
    probability = np.ones(tokens.shape, np.float32) if probability is None else probability
    for index in range(first_step, settings.steps):
        rules = _StepRules(index, settings, mask_token_id)
        drawn = [
            _step(
                partial(denoise, b, index),
                tokens[b],
                probability[b],
                _Noise(seed, picture, noise_step + index),
                ratio,
                rules,
            )
            for b, (picture, ratio) in enumerate(zip(pictures, ratios, strict=True))
        ]
        predicted, mask, confidence, probability = (np.stack(part) for part in zip(*drawn, strict=True))
        tokens = np.where(mask, np.int64(mask_token_id), predicted)
        yield Step(index, settings.steps, tokens, predicted, mask, confidence, probability)


@dataclass(frozen=True)
class _Noise:
    """The uniforms of one picture at one step."""

    seed: int
    picture: int
    step: int

    def tokens(self, rows: IntArray, codes: int) -> FloatArray:
        """(M, V): row i of the full (N, V) table for each masked position i, so noise belongs to a position.

        Only those rows are made, neighbours together.
        """
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        parts = [self._draw(len(run) * codes, Purpose.TOKENS, first=int(run[0]) * codes) for run in runs]
        table = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return table.reshape(len(rows), codes)

    def confidence(self, positions: int) -> FloatArray:
        return self._draw(positions, Purpose.CONFIDENCE)

    def order_start(self, positions: int) -> int:
        """Where a picture's walk through the Halton order begins; the same at each of its steps."""
        (u,) = uniforms(1, seed=self.seed, picture=self.picture, step=0, purpose=Purpose.ORDER)
        return int(np.float64(u) * positions)

    def _draw(self, count: int, purpose: Purpose, first: int = 0) -> FloatArray:
        return uniforms(count, seed=self.seed, picture=self.picture, step=self.step, purpose=purpose, first=first)


@dataclass(frozen=True)
class _StepRules:
    """What all pictures of one step share."""

    index: int
    settings: SamplerSettings
    mask_token_id: int

    @property
    def temperature(self) -> np.float32:
        return temperature_at(self.settings.temperature, self.index, self.settings.steps)

    def mask_length(self, positions: int, unknown: int, starting_mask_ratio: float) -> int:
        """How many of a picture's `positions` stay masked, of which `unknown` were before; none after the last step."""
        if self.index == self.settings.steps - 1:
            return 0
        return mask_length(
            self.settings.schedule,
            self.index,
            self.settings.steps,
            sequence_length=positions,
            unknown=unknown,
            starting_mask_ratio=starting_mask_ratio,
        )


def _step(
    denoise: Callable[[IntArray, IntArray], FloatArray],
    grid: IntArray,
    probability: FloatArray,
    noise: _Noise,
    starting_mask_ratio: float,
    rules: _StepRules,
) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
    """One step of one picture: tokens (h, w) -> predicted tokens, mask, confidence and probability, each (h, w)."""
    predicted, probability, shape = grid.flatten(), probability.flatten(), grid.shape
    rows = np.flatnonzero(predicted == rules.mask_token_id)
    if not len(rows):
        known = np.full(shape, np.inf, np.float32)
        return grid, np.zeros(shape, np.bool_), known, probability.reshape(shape)
    logits = denoise(grid, rows)
    drawn, log_probability, sureness = _draw(logits, rows, noise, rules)
    predicted[rows] = drawn
    probability[rows] = np.exp(log_probability)
    confidence = _confidence(sureness, rows, shape, noise, rules)
    length = rules.mask_length(grid.size, len(rows), starting_mask_ratio)
    if rules.settings.entropy_bound:
        bound = rules.settings.entropy_bound
        length = min(length, len(rows) - sampler.within_entropy(confidence[rows], sampler.entropies(logits), bound))
    mask = sampler.remask(confidence, length)
    return predicted.reshape(shape), mask.reshape(shape), confidence.reshape(shape), probability.reshape(shape)


def _draw(
    logits: FloatArray, rows: IntArray, noise: _Noise, rules: _StepRules
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the tokens drawn for the rows, their log-probabilities, and how sure the model is of each row, (M,)."""
    by_moment = rules.settings.order == "moment"
    sharp = sampler.sharpened(logits, rules.temperature) if by_moment else logits
    drawn = sampler.draw_tokens(sharp, noise.tokens(rows, logits.shape[1]))
    log_probability = sampler.log_probabilities(logits, drawn)
    if not np.isfinite(log_probability).all():
        raise GenerationError(
            f"the denoiser returned logits that are not finite at step {rules.index + 1}; "
            "the bundle does not fit this engine; try another engine"
        )
    return drawn, log_probability, sampler.log_moments(logits, rules.temperature) if by_moment else log_probability


def _confidence(
    sureness: FloatArray, rows: IntArray, shape: tuple[int, ...], noise: _Noise, rules: _StepRules
) -> FloatArray:
    """Return what decides which tokens stay, (N,): the most confident, or the next in the Halton order."""
    positions = math.prod(shape)
    if rules.settings.order != "halton":
        return sampler.confidences(sureness, noise.confidence(positions), rules.temperature, rows)
    order = np.roll(halton_order(*shape), -noise.order_start(positions))
    return sampler.order_confidences(order, rows)
