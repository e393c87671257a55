"""What metrics do with lists, whole numbers, halves and large sets, beside float64 by hand."""

import numpy as np
import pytest

from amused_edge.benchmarks.metrics.logits import kl_divergence, rank_correlation, top_agreement, total_variation
from amused_edge.benchmarks.metrics.sets import BLOCK, KidKernels, Moments, fid, kid
from amused_edge.benchmarks.metrics.statistics import (
    RESAMPLES,
    certainty,
    mean,
    percentiles,
    ratio_over_rounds,
    resampled,
    sample_and_resamples,
)

RNG = np.random.default_rng(11)
_BEGIN = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def the_same_numbers() -> None:
    """Whichever tests ran before."""
    RNG.bit_generator.state = _BEGIN


@pytest.mark.parametrize("swapped", [False, True])
def test_logits_that_are_bytes(swapped: bool) -> None:
    """Neither wraps: of bytes, -1 is 255, and 1 - 2 as well."""
    a, b = RNG.integers(0, 9, (60, 20), np.uint8), RNG.integers(0, 9, (60, 20), np.uint8)
    pair = (a.astype(np.float64), b) if swapped else (a, b.astype(np.float64))
    wide = a.astype(np.float64), b.astype(np.float64)
    assert np.array_equal(top_agreement(*pair, 3), top_agreement(*wide, 3))
    assert np.array_equal(kl_divergence(*pair), kl_divergence(*wide))
    assert np.array_equal(total_variation(*pair), total_variation(*wide))
    assert rank_correlation(pair[0][0], pair[1][0]) == rank_correlation(wide[0][0], wide[1][0])


def test_sets_that_are_lists() -> None:
    x, y = RNG.normal(size=(2, 6, 3))
    assert kid(x.tolist(), y.tolist()) == kid(x, y)
    assert fid(x.tolist(), y.tolist()) == fid(x, y)


def test_kernels_are_of_independent_sets_unless_said_otherwise() -> None:
    """By the definition, pair by pair."""
    x, y = RNG.normal(size=(2, 7, 3))
    kernel = [[[(a @ b / 3 + 1) ** 3 for b in v] for a in u] for u, v in ((x, x), (y, y), (x, y))]
    within, others, across = (np.array(each) for each in kernel)
    apart = ~np.eye(7, dtype=bool)
    assert KidKernels(x, y).distance() == pytest.approx(within[apart].mean() + others[apart].mean() - 2 * across.mean())
    paired = within[apart].mean() + others[apart].mean() - 2 * across[apart].mean()
    assert KidKernels(x, y, paired=True).distance() == pytest.approx(paired)


def test_moments_of_singles_far_from_zero() -> None:
    x = (1e4 + RNG.normal(size=(BLOCK + 9, 3))).astype(np.float32)
    found = Moments(3)
    for block in (x[:4], x[4:]):
        found.add(block)
    assert found.count == len(x)
    assert found.mean == pytest.approx(x.astype(np.float64).mean(axis=0), rel=1e-12)
    assert found.covariance == pytest.approx(np.cov(x.astype(np.float64).T), rel=1e-9)


def test_an_interval_is_of_95_percent() -> None:
    values = RNG.normal(size=1001)
    found = percentiles(values)
    ordered = np.sort(values[1:])
    assert found.estimate == values[0]
    assert found.low == pytest.approx(ordered[24] + 0.975 * (ordered[25] - ordered[24]))
    assert found.high == pytest.approx(ordered[974] + 0.025 * (ordered[975] - ordered[974]))
    assert (found.holds(found.low), found.holds(found.high), found.holds(found.high + 1)) == (True, True, False)


def test_resamples_of_many_values_are_drawn_as_if_at_once() -> None:
    count = 1500
    generator = np.random.Generator(np.random.Philox(3))
    expected = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    found = sample_and_resamples(count, seed=3)
    assert (found[0] == 1).all()
    assert np.array_equal(found[1:], expected)
    assert np.array_equal(resampled(count, seed=3), expected)
    values = RNG.normal(size=count)
    assert mean(values)(found) == pytest.approx(found.astype(np.float64) @ values / count, rel=1e-9, abs=1e-12)


def test_how_certain_a_number_of_rounds_is() -> None:
    assert [certainty(rounds) for rounds in (1, 2, 3, 5)] == [0.0, 0.5, 0.75, 0.9375]
    assert ratio_over_rounds([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]).certainty == 0.75
