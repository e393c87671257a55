"""The pure functions of one step: their distributions, their limits, and the reference scheduler's step."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from diffusers import AmusedScheduler
from diffusers.schedulers import scheduling_amused
from numpy.typing import NDArray

from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.sampling.schedule import Schedule, Temperature

LOGITS = np.array([0.3, -1.0, 2.0, 0.0, 1.1, -3.0, 0.31, -0.5], np.float32)
CHI_SQUARE_7_FREEDOM_0_001 = 24.322
"""Critical value of chi-square with 7 degrees of freedom: exceeded once in 1000 by draws of the right distribution."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def chi_square(counts: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    expected = probabilities * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_draws_have_the_softmax_distribution(seed: int) -> None:
    draws = 200_000
    noise = uniforms(draws * 8, seed=seed, picture=0, step=0, purpose=Purpose.TOKENS).reshape(draws, 8)
    tokens = sampler.draw_tokens(np.tile(LOGITS, (draws, 1)), noise)
    counts = np.bincount(tokens, minlength=8)
    assert chi_square(counts, softmax(LOGITS)) < CHI_SQUARE_7_FREEDOM_0_001
    assert chi_square(counts, softmax(LOGITS * np.float32(1.1))) > CHI_SQUARE_7_FREEDOM_0_001  # the test can fail


def test_draws_keep_under_small_errors_of_the_logits() -> None:
    """Why Gumbel-max: another engine's rounding must change almost no draw, even among 8192 near-equal codes."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((64, 8192), np.float32)
    noise = rng.random((64, 8192), np.float32)
    other = logits + np.float32(1e-5) * rng.standard_normal((64, 8192), np.float32)
    assert np.mean(sampler.draw_tokens(logits, noise) == sampler.draw_tokens(other, noise)) > 0.98


def test_lowest_code_wins_a_tie() -> None:
    assert sampler.draw_tokens(np.zeros((2, 5), np.float32), np.full((2, 5), 0.5, np.float32)).tolist() == [0, 0]


def test_drawing_leaves_its_arguments_alone() -> None:
    """The arithmetic is done in place on copies; the caller's logits are used again for the confidences."""
    logits, noise = np.tile(LOGITS, (3, 1)), np.full((3, 8), 0.25, np.float32)
    before = logits.copy(), noise.copy()
    tokens = sampler.draw_tokens(logits, noise)
    sampler.log_probabilities(logits, tokens)
    sampler.guide(logits, noise, 3.0)
    assert np.array_equal(logits, before[0])
    assert np.array_equal(noise, before[1])


def test_gumbel_equals_the_formula() -> None:
    u = np.linspace(0.001, 0.999, 999, dtype=np.float32)
    expected = -np.log(-np.log(u.astype(np.float64)))
    np.testing.assert_allclose(sampler.gumbel(u), expected, rtol=1e-5, atol=1e-5)


def test_gumbel_is_finite_at_the_ends() -> None:
    """u = 0 meets the inner clamp, u = 1 the outer one: log(1e-20) is -46.05."""
    low, high = sampler.gumbel(np.array([0, 1], np.float32))
    np.testing.assert_allclose([low, high], [-np.log(46.0517), 46.0517], rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.25, 10.0])
def test_guidance_formula(scale: float) -> None:
    rng = np.random.default_rng(1)
    u, c = rng.standard_normal((2, 4, 8), np.float32)
    np.testing.assert_allclose(sampler.guide(u, c, scale), u + scale * (c.astype(np.float64) - u), rtol=1e-5, atol=1e-5)


def test_log_probabilities_against_float64() -> None:
    rng = np.random.default_rng(2)
    logits = (20 * rng.standard_normal((50, 300))).astype(np.float32)
    tokens = rng.integers(0, 300, 50)
    expected = np.log(np.maximum(softmax(logits)[np.arange(50), tokens], 1e-20))
    np.testing.assert_allclose(sampler.log_probabilities(logits, tokens), expected, rtol=1e-5, atol=1e-5)


def test_log_probabilities_do_not_overflow_and_stop_at_1e_20() -> None:
    logits = np.array([[1e4, 0.0], [1e4, 0.0]], np.float32)
    np.testing.assert_allclose(sampler.log_probabilities(logits, np.array([0, 1])), [0.0, np.log(1e-20)], rtol=1e-6)


def test_remask_breaks_ties_by_position() -> None:
    """The reference masks none of the tied ones; a port's sort must not decide which."""
    assert sampler.remask(np.zeros(5, np.float32), 2).tolist() == [True, True, False, False, False]
    mixed = np.array([1, 0, 1, 0, 1], np.float32)
    assert sampler.remask(mixed, 3).tolist() == [True, True, False, True, False]
    assert not sampler.remask(mixed, 0).any()


def test_known_tokens_are_never_masked_again() -> None:
    """At temperature 50 the noise reaches 800, far above the 88.7 that the reference gives known tokens."""
    u = uniforms(256, seed=0, picture=0, step=0, purpose=Purpose.CONFIDENCE)
    rows = np.arange(0, 256, 8)
    confidence = sampler.confidences(np.full(32, -30, np.float32), u, np.float32(50), rows)
    known = np.ones(256, bool)
    known[rows] = False
    assert np.isposinf(confidence[known]).all()
    assert np.isfinite(confidence[rows]).all()
    assert not sampler.remask(confidence, 31)[known].any()


def test_confidences_add_noise_of_their_own_position() -> None:
    u = np.array([0.1, 0.5, 0.9, 0.7], np.float32)
    confidence = sampler.confidences(np.array([-1, -2], np.float32), u, np.float32(2), np.array([1, 3]))
    expected = [np.inf, -1 - 2 * np.log(-np.log(0.5)), np.inf, -2 - 2 * np.log(-np.log(0.7))]
    np.testing.assert_allclose(confidence, expected, rtol=1e-5)


# --- The whole loop beside the reference scheduler, with the same numbers on both sides.

SIDE, CODES, MASK, BATCH, SEED = 8, 50, 60, 3, 11
POSITIONS = SIDE * SIDE


def logits_at(picture: int, step: int) -> NDArray[np.float32]:
    return 2 * np.random.default_rng([picture, step]).standard_normal((POSITIONS, CODES), np.float32)


def noise(count: int, picture: int, step: int, purpose: Purpose) -> NDArray[np.float32]:
    return uniforms(count, seed=SEED, picture=picture, step=step, purpose=purpose)


def reference_loop(
    monkeypatch: pytest.MonkeyPatch, start: NDArray[np.int64], settings: SamplerSettings, ratio: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (tokens, predicted) of each step of AmusedScheduler, our numbers in the place of torch's generator."""
    scheduler = AmusedScheduler(mask_token_id=MASK, masking_schedule=settings.schedule)
    scheduler.set_timesteps(settings.steps, settings.temperature)  # type: ignore[arg-type]
    sample = torch.from_numpy(start.reshape(BATCH, -1))
    for step in range(settings.steps):
        logits = [logits_at(b, step) for b in range(BATCH)]
        drawn = np.concatenate(
            [
                sampler.draw_tokens(
                    logits[b], noise(POSITIONS * CODES, b, step, Purpose.TOKENS).reshape(POSITIONS, CODES)
                )
                for b in range(BATCH)
            ]
        )
        gumbel = np.stack([sampler.gumbel(noise(POSITIONS, b, step, Purpose.CONFIDENCE)) for b in range(BATCH)])
        monkeypatch.setattr(torch, "multinomial", lambda *_, d=drawn, **__: torch.from_numpy(d)[:, None])
        monkeypatch.setattr(scheduling_amused, "gumbel_noise", lambda *_, g=gumbel, **__: torch.from_numpy(g))
        output = scheduler.step(torch.from_numpy(np.stack(logits)), settings.steps - 1 - step, sample, ratio)
        sample = output.prev_sample
        yield sample.numpy(), output.pred_original_sample.numpy()


@pytest.mark.parametrize("temperature", [(2.0, 0.0), (4.0, 1.0), 2.0, 0.0])
@pytest.mark.parametrize(("schedule", "masked"), [("cosine", POSITIONS), ("linear", 40)])
def test_every_step_equals_the_reference(
    monkeypatch: pytest.MonkeyPatch, temperature: Temperature, schedule: Schedule, masked: int
) -> None:
    """Same draws, same noise: same tokens and same masks, from a full and from a partly masked start."""
    settings = SamplerSettings(steps=8, temperature=temperature, schedule=schedule)
    start = np.random.default_rng(3).integers(0, CODES, (BATCH, POSITIONS))
    start[:, np.random.default_rng(4).permutation(POSITIONS)[:masked]] = MASK
    start = start.reshape(BATCH, SIDE, SIDE)
    current = {"step": -1}

    def denoise(picture: int, _: int, tokens: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return logits_at(picture, current["step"])[rows]

    ratio = masked / POSITIONS
    ours = mask_predict(
        denoise,
        start,
        range(BATCH),
        seed=SEED,
        settings=settings,
        mask_token_id=MASK,
        starting_mask_ratio=[ratio] * BATCH,
    )
    for index, (tokens, predicted) in enumerate(reference_loop(monkeypatch, start, settings, ratio)):
        current["step"] = index
        step = next(ours)
        assert np.array_equal(step.predicted.reshape(BATCH, -1), predicted), f"step {index}"
        assert np.array_equal(step.mask.reshape(BATCH, -1), tokens == MASK), f"step {index}"
        assert np.array_equal(step.tokens.reshape(BATCH, -1), tokens), f"step {index}"
