"""The loop with a made-up denoiser: what stays, what is masked, and what a picture depends on."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime.errors import GenerationError
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.schedule import mask_length

CODES, MASK = 20, 25
Tokens = NDArray[np.int64]
Logits = NDArray[np.float32]


def denoise(_: int, __: int, tokens: Tokens, rows: Tokens) -> Logits:
    """Logits that depend on the whole grid, as a network's do."""
    seed = int(np.sum(tokens.reshape(-1) * np.arange(1, tokens.size + 1)))
    return np.random.default_rng(seed).standard_normal((tokens.size, CODES), np.float32)[rows]


def masked(batch: int, height: int, width: int) -> Tokens:
    return np.full((batch, height, width), MASK, np.int64)


def run(
    tokens: Tokens,
    pictures: Sequence[int] | None = None,
    *,
    seed: int = 0,
    steps: int = 12,
    temperature: float | tuple[float, float] = (2.0, 0.0),
    ratio: float = 1.0,
    denoiser: Callable[[int, int, Tokens, Tokens], Logits] = denoise,
) -> list[Step]:
    settings = SamplerSettings(steps=steps, temperature=temperature)
    return list(
        mask_predict(
            denoiser,
            tokens,
            range(len(tokens)) if pictures is None else pictures,
            seed=seed,
            settings=settings,
            mask_token_id=MASK,
            starting_mask_ratio=[ratio] * len(tokens),
        )
    )


@pytest.mark.parametrize("steps", [1, 2, 12, 40])
def test_exactly_the_scheduled_number_stays_masked(steps: int) -> None:
    unknown = 35
    for index, step in enumerate(run(masked(2, 5, 7), steps=steps)):
        last = index == steps - 1
        unknown = 0 if last else mask_length("cosine", index, steps, sequence_length=35, unknown=unknown)
        assert step.mask.sum(axis=(1, 2)).tolist() == [unknown, unknown]
        assert (step.index, step.steps) == (index, steps)


def test_nothing_is_masked_at_the_end() -> None:
    last = run(masked(2, 4, 4))[-1]
    assert not last.mask.any()
    assert last.tokens.max() < CODES
    assert np.array_equal(last.tokens, last.predicted)


def test_a_step_is_consistent_with_itself() -> None:
    """`tokens` is `predicted` with the mask id where `mask` says so; shapes and types as documented."""
    for step in run(masked(2, 3, 4)):
        assert np.array_equal(step.tokens, np.where(step.mask, MASK, step.predicted))
        assert {a.shape for a in (step.tokens, step.predicted, step.mask, step.confidence)} == {(2, 3, 4)}
        types = [step.tokens.dtype, step.predicted.dtype, step.mask.dtype, step.confidence.dtype]
        assert types == [np.int64, np.int64, np.bool_, np.float32]
        assert (step.probability.shape, step.probability.dtype) == ((2, 3, 4), np.float32)


@pytest.mark.parametrize("temperature", [(2.0, 0.0), 50.0])
def test_known_tokens_never_change(temperature: float | tuple[float, float]) -> None:
    """Neither those known at the start nor those once kept, however hot: the reference fails above about 4.3."""
    start = np.random.default_rng(0).integers(0, CODES, (2, 6, 6))
    start[:, 2:5, 1:6] = MASK
    known = start.copy()
    for step in run(start, temperature=temperature, ratio=15 / 36):
        was_known = known != MASK
        assert not step.mask[was_known].any()
        assert np.array_equal(step.tokens[was_known], known[was_known])
        assert np.isposinf(step.confidence[was_known]).all()
        assert np.isfinite(step.confidence[~was_known]).all()
        known = step.tokens


def test_the_callers_tokens_are_left_alone() -> None:
    start = masked(1, 3, 3)
    run(start)
    assert (start == MASK).all()


def test_one_step_draws_everything() -> None:
    (step,) = run(masked(1, 4, 4), steps=1)
    assert not step.mask.any()
    assert step.tokens.max() < CODES


def test_a_grid_of_one_token() -> None:
    """It cannot be both drawn and masked: it stays masked until the last step draws it."""
    steps = run(masked(1, 1, 1), steps=3)
    assert [bool(step.mask) for step in steps] == [True, True, False]
    assert steps[-1].tokens.shape == (1, 1, 1)
    assert steps[-1].tokens.max() < CODES


def test_nothing_masked_at_the_start_stays_as_it_is() -> None:
    """The reference forces one known token to be masked; the denoiser must not even be called."""

    def never(*_: object) -> Logits:
        raise AssertionError("nothing is to be drawn")

    start = np.random.default_rng(1).integers(0, CODES, (1, 4, 4))
    steps = run(start, steps=4, denoiser=never)
    assert len(steps) == 4
    for step in steps:
        assert np.array_equal(step.tokens, start)
        assert not step.mask.any()


def test_same_seed_same_picture() -> None:
    first, second = run(masked(2, 4, 4), seed=5)[-1], run(masked(2, 4, 4), seed=5)[-1]
    assert np.array_equal(first.tokens, second.tokens)


def test_other_seeds_and_other_pictures_differ() -> None:
    tokens = run(masked(2, 4, 4), seed=5)[-1].tokens
    assert not np.array_equal(tokens[0], tokens[1])
    assert not np.array_equal(tokens, run(masked(2, 4, 4), seed=6)[-1].tokens)


def test_a_picture_is_the_same_alone_and_among_others() -> None:
    together = run(masked(3, 4, 4), [4, 1, 7], seed=9)
    for place, picture in enumerate([4, 1, 7]):
        alone = run(masked(1, 4, 4), [picture], seed=9)
        for a, t in zip(alone, together, strict=True):
            assert np.array_equal(a.tokens[0], t.tokens[place])
            assert np.array_equal(a.confidence[0], t.confidence[place])


def test_the_denoiser_sees_its_place_tokens_and_masked_rows() -> None:
    calls = []

    def recorder(place: int, step: int, tokens: Tokens, rows: Tokens) -> Logits:
        calls.append((place, step, tokens.copy(), rows.copy()))
        return denoise(place, step, tokens, rows)

    steps = run(masked(2, 2, 3), [8, 9], steps=2, denoiser=recorder)
    assert [(place, step) for place, step, _, _ in calls] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    for place, _, tokens, rows in calls[2:]:
        assert np.array_equal(tokens, steps[0].tokens[place])
        assert np.array_equal(rows, np.flatnonzero(steps[0].mask[place]))


def test_noise_belongs_to_a_position_not_to_a_rank() -> None:
    """With flat logits a position draws the same token whatever else is masked."""

    def flat(_: int, __: int, ___: Tokens, rows: Tokens) -> Logits:
        return np.zeros((len(rows), CODES), np.float32)

    full = run(masked(1, 4, 4), steps=1, denoiser=flat)[0].tokens
    partly = np.zeros((1, 4, 4), np.int64)
    partly[0, 2:, 1:] = MASK
    drawn = run(partly, steps=1, denoiser=flat)[0].tokens
    assert np.array_equal(drawn[0, 2:, 1:], full[0, 2:, 1:])


def test_the_caller_may_stop_early() -> None:
    """No work is done ahead of what was asked for."""
    calls = []

    def counter(place: int, step: int, tokens: Tokens, rows: Tokens) -> Logits:
        calls.append(place)
        return denoise(place, step, tokens, rows)

    settings = SamplerSettings(steps=12)
    stream = mask_predict(counter, masked(1, 4, 4), [0], seed=0, settings=settings, mask_token_id=MASK)
    assert not calls
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(calls) == 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("everywhere", [True, False])
def test_logits_that_are_not_finite_end_the_run(value: float, everywhere: bool) -> None:
    """A network that overflows in half precision must not end in a picture of noise."""

    def broken(place: int, step: int, tokens: Tokens, rows: Tokens) -> Logits:
        logits = denoise(place, step, tokens, rows)
        logits[slice(None) if everywhere else 3] = value
        return logits

    with pytest.raises(GenerationError, match="not finite at step 1"):
        run(masked(1, 4, 4), denoiser=broken)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_nan_among_the_codes_of_one_row_ends_the_run() -> None:
    def broken(place: int, step: int, tokens: Tokens, rows: Tokens) -> Logits:
        logits = denoise(place, step, tokens, rows)
        logits[0, 7] = np.nan
        return logits

    with pytest.raises(GenerationError, match="not finite"):
        run(masked(1, 4, 4), denoiser=broken)
