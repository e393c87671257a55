"""Intervals hold the truth as often as they say."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics import statistics
from amused_edge.benchmarks.metrics.statistics import (
    Interval,
    Ratio,
    Summary,
    bootstrap,
    difference,
    mean,
    ratio_over_rounds,
    resampled,
    sample_and_resamples,
    summary,
)

EXPERIMENTS = 1000
"""The share of intervals that hold the truth has a standard error of 0.7 % at 95 %."""

Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]


def exponential(generator: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Skewness 2, mean 1."""
    return generator.exponential(1.0, size)


def share(generator: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    return (generator.random(size) < 0.85).astype(np.float64)


@pytest.mark.parametrize(("draw", "truth", "count"), [(exponential, 1.0, 200), (share, 0.85, 200)])
def test_95_percent_intervals_hold_the_true_mean_95_times_in_a_hundred(draw: Draw, truth: float, count: int) -> None:
    """92 to 97.5 %: four standard errors, and what the method itself lacks in skewed samples of this size (1 %)."""
    samples = draw(np.random.default_rng(1), (EXPERIMENTS, count))
    weights = resampled(count)
    held = np.mean([bootstrap(mean(sample), weights).holds(truth) for sample in samples])
    assert 0.92 < held < 0.975


def test_intervals_of_paired_differences_hold_the_true_difference_and_know_that_pairs_agree() -> None:
    """Two figures of the same prompts differ by 0.1 and a little noise, prompts among themselves by far more."""
    generator = np.random.default_rng(2)
    shared = generator.exponential(1.0, (EXPERIMENTS, 150))
    others = shared + 0.1 + 0.05 * generator.standard_normal(shared.shape)
    weights = resampled(150)
    intervals = [
        bootstrap(difference(mean(other), mean(each)), weights) for other, each in zip(others, shared, strict=True)
    ]
    assert 0.92 < np.mean([interval.holds(0.1) for interval in intervals]) < 0.975
    width = float(np.mean([interval.high - interval.low for interval in intervals]))
    assert width == pytest.approx(2 * 1.96 * 0.05 / math.sqrt(150), rel=0.05)  # of the noise alone
    unpaired = bootstrap(mean(shared[0]), weights)
    assert unpaired.high - unpaired.low > 10 * width


def test_the_interval_of_a_mean_is_that_of_a_normal_distribution_in_large_samples() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 500)
    interval = bootstrap(mean(values), resampled(500))
    error = values.std() / math.sqrt(500)
    assert interval.estimate == pytest.approx(values.mean(), rel=1e-12)
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_a_figure_differs_from_itself_by_exactly_nothing() -> None:
    one = mean(np.random.default_rng(4).random(40))
    assert bootstrap(difference(one, one), resampled(40)) == Interval(0.0, 0.0, 0.0)


def test_constants_have_an_interval_of_no_width() -> None:
    interval = bootstrap(mean([0.3] * 7), resampled(7))
    assert (interval.low, interval.high) == (pytest.approx(0.3, abs=1e-12), pytest.approx(0.3, abs=1e-12))


def test_resamples_draw_as_many_values_each_as_likely_as_the_other() -> None:
    """Multinomial: mean 1, variance 1 - 1/n, covariance -1/n."""
    weights = resampled(20, resamples=20000)
    assert weights.shape == (20000, 20)
    assert (weights.sum(axis=1) == 20).all()
    assert (weights == weights.round()).all()
    covariance = np.cov(weights, rowvar=False)
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(covariance, np.eye(20) - 1 / 20, atol=0.06)


def test_the_seed_alone_decides_about_resamples() -> None:
    np.testing.assert_array_equal(resampled(9), resampled(9))
    assert (resampled(9) != resampled(9, seed=1)).any()


def test_resamples_are_drawn_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are made at once; the sample itself stands before them."""
    first = np.random.Generator(np.random.Philox(0)).multinomial(20, [1 / 20] * 20)
    assert np.array_equal(resampled(20)[0], first)
    assert np.array_equal(sample_and_resamples(20)[1], first)
    drawn = np.random.Generator(np.random.Philox(3)).multinomial(20, [1 / 20] * 20, size=7)
    for block in (2**20, 60, 1):
        monkeypatch.setattr(statistics, "_BLOCK", block)
        assert np.array_equal(sample_and_resamples(20, 3, 7), [[1] * 20, *drawn])
        assert np.array_equal(resampled(20, 3, 7), drawn)
        assert resampled(20, 3, 7).dtype == np.uint8
        values = np.arange(20)
        np.testing.assert_allclose(mean(values)(drawn), drawn @ values / 20, rtol=1e-15)


def test_an_interval_is_of_the_resamples_alone() -> None:
    values, weights = np.arange(20.0) ** 3, resampled(20, resamples=30)
    low, high = np.quantile(weights @ values / 20, [0.025, 0.975])
    found = bootstrap(mean(values), weights)
    assert (found.estimate, found.low, found.high) == (values.mean(), pytest.approx(low), pytest.approx(high))


def test_weighted_means_are_those_of_the_drawn_values() -> None:
    values = np.array([1.0, 4.0, 9.0])
    weights = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    assert mean(values)(weights) == pytest.approx([np.mean([1, 1, 9]), 4.0], rel=1e-12)


# --- Things measured in turns.


@pytest.mark.parametrize(("rounds", "expected"), [(3, 0.75), (5, 0.9375), (7, 0.984375)])
def test_the_range_of_rounds_holds_the_true_median_as_often_as_stated(rounds: int, expected: float) -> None:
    """1 - 2^(1-n), here for a skewed distribution, whose true median ratio is 1.3; four standard errors."""
    generator = np.random.default_rng(rounds)
    baseline = generator.lognormal(0.0, 1.0, (4000, rounds))
    ratios = 1.3 * np.exp(generator.exponential(1.0, baseline.shape) - math.log(2))
    held = np.mean(
        [ratio_over_rounds(v.tolist(), b.tolist()).holds(1.3) for v, b in zip(ratios * baseline, baseline, strict=True)]
    )
    assert held == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


def test_rounds_are_compared_each_with_its_own_baseline() -> None:
    """A machine that becomes slower slows both; the ratio stays."""
    assert ratio_over_rounds([2.0, 20.0, 6.3], [1.0, 10.0, 3.0]) == Ratio(2.0, 2.0, pytest.approx(2.1), 3)
    assert ratio_over_rounds([3.0], [2.0]) == Ratio(1.5, 1.5, 1.5, 1)


@pytest.mark.parametrize(("values", "baseline"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0])])
def test_rounds_without_their_counterpart_are_refused(values: list[float], baseline: list[float]) -> None:
    with pytest.raises(ValueError, match="give as many, at least one"):
        ratio_over_rounds(values, baseline)


# --- Summaries.


def test_percentiles_lie_linearly_between_values() -> None:
    """Of 0 to 10 the 10th percentile is the second value; of two values it is a tenth of the way."""
    ten = summary(range(10, -1, -1))
    assert (ten.median, ten.p10, ten.p90, ten.count) == (5.0, 1.0, 9.0, 11)
    two = summary([3.0, 1.0])
    assert (two.median, two.p10, two.p90, two.count) == (2.0, pytest.approx(1.2), pytest.approx(2.8), 2)
    assert summary([7]).p10 == summary([7]).p90 == 7.0
    assert summary([3, 9, 1, 5]) == Summary(4.0, pytest.approx(1.6), pytest.approx(7.8), 4, 1.0, 9.0)  # type: ignore[arg-type]
    halves = np.array([2048, 2051, 2052], np.float16)  # 2051 is none of them: 2052 is nearest
    assert summary(halves) == summary([2048.0, 2052.0, 2052.0])


def test_nothing_is_not_summarised() -> None:
    with pytest.raises(ValueError, match="no value"):
        summary([])


def test_an_interval_holds_its_bounds() -> None:
    interval = Interval(0.0, -1.0, 1.0)
    assert all(interval.holds(value) for value in (-1.0, 0.0, 1.0))
    assert not any(interval.holds(value) for value in (-1.001, 1.001, math.nan))
