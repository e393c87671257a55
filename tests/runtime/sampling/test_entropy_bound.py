"""Steps that keep more than the schedule, up to a bound of entropy, and the order of moments: against float64."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.halton import halton_order
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import Order, SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms

CODES, MASK, SEED = 20, 25, 3
Tokens = NDArray[np.int64]


def test_entropies_are_those_of_float64() -> None:
    logits = np.random.default_rng(0).standard_normal((40, 8192)).astype(np.float32)
    logits *= np.geomspace(0.1, 60, 40, dtype=np.float32)[:, None]
    found = sampler.entropies(logits)
    assert found.dtype == np.float32
    assert found.shape == (40,)
    odds = np.exp(logits.astype(np.float64))
    shares = odds / odds.sum(axis=1, keepdims=True)
    expected = -(shares * np.log(shares)).sum(axis=1)
    assert expected.min() < 1e-3
    assert expected.max() > 9
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_entropies_at_the_limits() -> None:
    sure, flat = np.full(8, -np.inf, np.float32), np.zeros(8, np.float32)
    sure[3] = 5.0
    far = np.array([1e30, -1e30, 0, 0, 0, 0, 0, 0], np.float32)
    found = sampler.entropies(np.stack([sure, flat, far]))
    np.testing.assert_allclose(found, [0, math.log(8), 0], rtol=1e-6, atol=1e-30)


def most_together(confidence: NDArray[np.float32], entropy: NDArray[np.float32], bound: float) -> int:
    """Try every number of tokens, from all of them down."""
    ranked = sorted(range(len(confidence)), key=lambda place: (confidence[place], place), reverse=True)
    for count in range(len(ranked), 1, -1):
        taken = [float(entropy[place]) for place in ranked[:count]]
        if math.fsum(taken) - max(taken) <= bound:
            return count
    return 1


@pytest.mark.parametrize("bound", [1e-9, 0.5, 3.0, 30.0])
def test_how_many_stay_together(bound: float) -> None:
    rng = np.random.default_rng(5)
    for count in (1, 2, 7, 40):
        confidence = rng.integers(-4, 4, count).astype(np.float32)  # with ties
        entropy = rng.random(count).astype(np.float32) * rng.integers(0, 2, count).astype(np.float32)
        assert sampler.within_entropy(confidence, entropy, bound) == most_together(confidence, entropy, bound)


class Denoiser:
    """Logits that depend on the whole grid, some of them sharp; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, place: int, step: int, tokens: Tokens, rows: Tokens) -> NDArray[np.float32]:
        self.asked.append((place, step))
        rng = np.random.default_rng(int(np.sum(tokens.reshape(-1) * np.arange(1, tokens.size + 1))))
        logits = rng.standard_normal((tokens.size, CODES)) * rng.geometric(0.1, (tokens.size, 1))
        return logits.astype(np.float32)[rows]


def run(start: Tokens, settings: SamplerSettings, denoiser: Denoiser, first: int = 0, **state: object) -> list[Step]:
    return list(
        mask_predict(
            denoiser,
            start,
            range(len(start)),
            seed=SEED,
            settings=settings,
            mask_token_id=MASK,
            first_step=first,
            **state,  # type: ignore[arg-type]
        )
    )


def in_float64(start: Tokens, place: int, settings: SamplerSettings) -> Iterator[Tokens]:
    """The loop of one picture, each token by itself, in float64; yields the grid after each step."""
    grid, size = start.reshape(-1).copy(), start.size
    (where,) = uniforms(1, seed=SEED, picture=place, step=0, purpose=Purpose.ORDER)
    order = np.roll(halton_order(*start.shape), -int(float(where) * size)).tolist()
    for step in range(settings.steps):
        rows = np.flatnonzero(grid == MASK)
        if len(rows):
            logits = Denoiser()(place, step, grid.reshape(start.shape), rows).astype(np.float64)
            stream = {"seed": SEED, "picture": place, "step": step}
            noise = uniforms(size * CODES, **stream, purpose=Purpose.TOKENS).astype(np.float64).reshape(size, CODES)
            drawn = np.argmax(logits - np.log(-np.log(noise[rows])), axis=1)
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            entropy = -(np.exp(log_p) * log_p).sum(axis=1)
            heat = settings.temperature[0] * (1 - step / (settings.steps - 1))  # type: ignore[index]
            likely, factor = np.exp(log_p), 1 + 1 / heat if heat else math.inf
            if settings.order == "moment":
                moments = np.sum(likely**factor, axis=1) if heat else np.ones(len(rows))
                drawn = np.argmax(logits * factor - np.log(-np.log(noise[rows])) if heat else logits, axis=1)
            shaken = uniforms(size, **stream, purpose=Purpose.CONFIDENCE).astype(np.float64)[rows]
            sure = log_p[np.arange(len(rows)), drawn] - heat * np.log(-np.log(shaken))
            if settings.order == "moment":
                sure += (heat * np.log(moments) if heat else log_p.max(axis=1)) - log_p[np.arange(len(rows)), drawn]
            if settings.order == "halton":
                sure = -np.array([order.index(row) for row in rows], np.float64)
            ranked = np.argsort(-sure)
            scheduled = int(size * math.cos((step + 1) / settings.steps * math.pi / 2))
            stay = len(rows) - max(1, min(len(rows) - 1, scheduled))
            while (
                settings.entropy_bound
                and stay < len(rows)
                and entropy[ranked[: stay + 1]].sum() - entropy[ranked[: stay + 1]].max() <= (settings.entropy_bound)
            ):
                stay += 1
            stay = len(rows) if step == settings.steps - 1 else stay
            grid[rows[ranked[:stay]]] = drawn[ranked[:stay]]
        yield grid.reshape(start.shape).copy()


@pytest.mark.parametrize("order", ["confidence", "halton", "moment"])
@pytest.mark.parametrize("bound", [0.0, 0.3, 4.0, 25.0])
def test_every_step_equals_float64(bound: float, order: Order) -> None:
    """Two pictures of 5 x 7 tokens, one of them partly known; each keeps what its own entropies allow."""
    start = np.full((2, 5, 7), MASK, np.int64)
    start[1, :2] = 4
    settings = SamplerSettings(steps=9, temperature=(1.0, 0.0), order=order, entropy_bound=bound)
    denoiser = Denoiser()
    steps = run(start, settings, denoiser)
    for place in range(2):
        for step, expected in zip(steps, in_float64(start[place], place, settings), strict=True):
            assert np.array_equal(step.tokens[place], expected), (place, step.index)
    plain = Denoiser()
    run(start, SamplerSettings(steps=9, temperature=(1.0, 0.0), order=order), plain)
    assert len(plain.asked) == 18
    assert len(denoiser.asked) < 18 if bound else len(denoiser.asked) == 18


def test_a_finished_picture_asks_no_more_and_stays() -> None:
    """All of it is within a bound so large: one call, then steps that change nothing."""
    denoiser = Denoiser()
    steps = run(np.full((1, 4, 4), MASK, np.int64), SamplerSettings(steps=6, entropy_bound=1e6), denoiser)
    assert denoiser.asked == [(0, 0)]
    assert [step.index for step in steps] == list(range(6))
    assert [step.idle for step in steps] == [False] + [True] * 5
    for step in steps:
        assert not step.mask.any()
        assert np.array_equal(step.tokens, steps[0].predicted)
        assert np.array_equal(step.probability, steps[0].probability)


def test_it_goes_on_from_any_step() -> None:
    start = np.full((1, 6, 6), MASK, np.int64)
    settings = SamplerSettings(steps=8, entropy_bound=5.0)
    whole = run(start, settings, Denoiser())
    for step in whole[:-1]:
        rest = run(step.tokens, settings, Denoiser(), step.index + 1, probability=step.probability)
        assert np.array_equal(rest[-1].tokens, whole[-1].tokens)
        assert np.array_equal(rest[-1].probability, whole[-1].probability)


def test_moments_choose_positions_and_codes_as_the_paper_has_it() -> None:
    """Of the position chosen first and its code: P(position, code) is in proportion to p^(1 + 1 / T), from 40,000
    draws; tokens drawn as the reference does, and then chosen, are another distribution where all can be chosen.
    """
    logits, heat, count = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32), np.float32(0.8), 40_000
    rng = np.random.default_rng(3)
    noise, shaken = rng.random((count * 3, 4), np.float32), rng.random(count * 3, np.float32)
    table, rows = np.tile(logits, (count, 1)), np.arange(count * 3)
    drawn = sampler.draw_tokens(sampler.sharpened(table, heat), noise)
    confidence = sampler.confidences(sampler.log_moments(table, heat), shaken, heat, rows)
    first = np.argmax(confidence.reshape(count, 3), axis=1)
    found = np.bincount(4 * first + drawn.reshape(count, 3)[np.arange(count), first], minlength=12)
    shares = np.exp(logits.astype(np.float64))
    powers = (shares / shares.sum(axis=1, keepdims=True)).reshape(-1) ** (1 + 1 / float(heat))
    expected = count * powers / powers.sum()
    assert ((found - expected) ** 2 / expected).sum() < 31.26  # chi-square of 11 degrees of freedom, once in 1000


@pytest.mark.parametrize("heat", [5.0, 0.5, 1e-3, 0.0])
def test_moments_are_those_of_float64(heat: float) -> None:
    logits = (4 * np.random.default_rng(4).standard_normal((30, 500))).astype(np.float32)
    exact = logits.astype(np.float64)
    log_p = exact - np.log(np.exp(exact).sum(axis=1, keepdims=True))
    peak = log_p.max(axis=1)
    factor = 1 + 1 / heat if heat else 0.0
    more = heat * np.log(np.exp(factor * (log_p - peak[:, None])).sum(axis=1)) if heat else 0.0
    np.testing.assert_allclose(sampler.log_moments(logits, np.float32(heat)), peak * (1 + heat) + more, rtol=2e-5)
    odds = np.exp(sampler.sharpened(logits, np.float32(heat)).astype(np.float64))
    wanted = np.exp(factor * (log_p - peak[:, None])) if heat else (log_p == peak[:, None]).astype(np.float64)
    np.testing.assert_allclose(odds, wanted, rtol=1e-3, atol=1e-6)
