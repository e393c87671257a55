"""Ranges of activations, beside the affine grid's definition in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.recipes.rules import Ranges
from amused_edge.quantization.rounding.ranges import Range, RangeObserver

KINDS: tuple[Ranges, ...] = ("minmax", "percentile", "mse")


def affine(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    """What comes back from 256 even steps over [low, high]."""
    step = (high - low) / 255
    zero = np.rint(-low / step)
    codes = np.clip(np.rint(np.asarray(values, np.float64) / step) + zero, 0, 255)
    result: NDArray[np.float64] = (codes - zero) * step
    return result


def observe(*tensors: NDArray[np.floating]) -> RangeObserver:
    observer = RangeObserver()
    for tensor in tensors:
        observer.add(tensor.astype(np.float32))
    return observer


def mean_square(found: Range, values: NDArray[np.floating]) -> float:
    return float(np.mean((found.round_trip(values) - values) ** 2))


# --- The grid.


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-0.3, 7.7), (-1000, 0.01), (-1e-6, 3e-6), (-1e30, 2e30)])
def test_the_grid_is_the_affine_one(low: float, high: float) -> None:
    values = np.random.default_rng(0).uniform(low * 1.2, high * 1.2, 5000)
    found = Range.of(low, high)
    expected = affine(values, low, high)
    step = (high - low) / 255
    assert found.scale == pytest.approx(step, rel=1e-6)
    assert 0 <= found.zero_point <= 255
    # A scale is stored in float32: that moves a value by up to 255 steps' rounding, and now and then over a tie.
    differing = np.abs(found.round_trip(values) - expected) > 1e-4 * step
    assert differing.mean() < 1e-3
    inside = (values >= low) & (values <= high)
    assert np.abs(found.round_trip(values) - values)[inside].max() <= 0.501 * step


@pytest.mark.parametrize(("low", "high"), [(-1.7, 2.9), (0.5, 3), (-3, -0.5), (-0.001, 100), (-100, 0.001)])
def test_zero_is_among_the_values(low: float, high: float) -> None:
    """What a convolution pads with must come back as zero; a range of one sign is widened to reach it."""
    found = Range.of(low, high)
    assert found.round_trip(np.zeros(1))[0] == 0
    ends = np.array([low, high])
    assert np.abs(found.round_trip(ends) - ends).max() <= 0.501 * found.scale


def test_what_is_stored_is_exact_in_the_engine() -> None:
    """Scales are float32 numbers and zero points fit in a byte."""
    for low, high in np.random.default_rng(1).normal(size=(200, 2)):
        found = Range.of(min(low, high), max(low, high))
        assert float(np.float32(found.scale)) == found.scale
        assert type(found.zero_point) is int
        assert 0 <= found.zero_point <= 255


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0, 1e-42])
def test_a_tensor_of_one_value_comes_back(kind: Ranges, value: float) -> None:
    """Within half a step of [0, value]; zero and what is nearly zero come back as zero."""
    found = observe(np.full(100, value)).range(kind)
    assert found.scale > 0
    assert found.round_trip(np.full(1, value))[0] == pytest.approx(value, rel=1e-2, abs=1e-30)


# --- The choice.


def test_minmax_spans_all_tensors_that_were_seen() -> None:
    tensors = [np.linspace(-1, 2, 10), np.linspace(-4, 1, 10), np.linspace(0, 5, 300_000)]
    found = observe(*tensors).range("minmax")
    assert found.scale == pytest.approx(9 / 255, rel=1e-6)
    assert found.zero_point == round(4 / 9 * 255)


def test_percentile_cuts_a_ten_thousandth_on_each_side() -> None:
    values = np.random.default_rng(2).permutation(np.linspace(-1, 3, 50_000)).astype(np.float32)
    values[:2], values[2:4] = 1000, -1000  # four outliers: fewer than the five that are cut on each side
    found = observe(values).range("percentile")
    ordered = np.sort(values)
    cut = len(values) // 10_000
    assert found.scale == pytest.approx((ordered[-1 - cut] - ordered[cut]) / 255, rel=1e-3)
    assert found.zero_point == round(1 / 4 * 255)


@pytest.mark.parametrize("name", ["normal", "one-sided", "heavy tails", "outlier", "uniform", "two values"])
def test_least_squares_is_never_worse_than_minmax(name: str) -> None:
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.standard_normal(20_000),
        "one-sided": np.abs(rng.standard_normal(20_000)),
        "heavy tails": rng.standard_t(2, 20_000),
        "outlier": np.append(rng.standard_normal(20_000), 60.0),
        "uniform": rng.uniform(-2, 1, 20_000),
        "two values": np.array([-0.1, 5.0] * 50),
    }[name].astype(np.float32)
    found = observe(values[:7], values[7:])
    assert mean_square(found.range("mse"), values) <= mean_square(found.range("minmax"), values)


def test_least_squares_cuts_an_outlier_to_where_the_closed_form_says() -> None:
    """240000 values in [-1, 1] and one of 2.5: wider steps for all beside a larger error for one.

    The mean squared error of a range [-1, h] is ((1 + h) / 255)^2 / 12 + (2.5 - h)^2 / 240000, least at h = 1.68.
    """
    values = np.random.default_rng(4).uniform(-1, 1, 240_001).astype(np.float32)
    values[-1] = 2.5
    found = observe(*np.array_split(values, 4))
    slope = 2 / (12 * 255**2)
    high = (2 / 240_000 * 2.5 - slope) / (2 / 240_000 + slope)
    assert found.range("mse").scale == pytest.approx((1 + high) / 255, rel=0.05)
    assert mean_square(found.range("mse"), values) < 0.85 * mean_square(found.range("minmax"), values)


def test_least_squares_takes_the_best_of_the_shares_that_it_tries() -> None:
    """Values from 0 on have but one end to choose, so that the search can be written in one line."""
    values = np.abs(np.random.default_rng(5).standard_t(3, 10_000)).astype(np.float32)
    high = float(values.max())
    errors = [np.mean((affine(values, 0, high * share) - values) ** 2) for share in np.linspace(0.3, 1, 36)]
    found = observe(values).range("mse")
    assert mean_square(found, values) == pytest.approx(min(errors), rel=1e-3)
    assert int(np.argmin(errors)) not in (0, 35)  # there is something to choose here


@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_order_do_not_matter(kind: Ranges) -> None:
    values = np.random.default_rng(6).standard_normal((3, 4, 50)).astype(np.float32)
    assert observe(values).range(kind) == observe(values.reshape(-1)[::-1]).range(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_seen_is_an_error(kind: Ranges) -> None:
    with pytest.raises(ValueError, match="no tensor was seen"):
        RangeObserver().range(kind)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_range_is_a_number_or_an_error(value: float) -> None:
    """An activation that overflowed must not become the scale of a graph, nor be passed over."""
    with pytest.raises((ValueError, ArithmeticError)):
        observe(np.array([1.0, value])).range("minmax")


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_large_values_counts_however_much_is_seen(kind: Ranges) -> None:
    """Every n-th value of what 16 pictures showed was of a few columns, and what those of the others held was cut."""
    generator = np.random.default_rng(4)
    spread = np.where(np.arange(256) == 77, 40.0, 1.0)
    tensors = [generator.standard_normal((256, 256)) * spread for _ in range(96)]
    found, everything = observe(*tensors).range(kind), np.concatenate(tensors)
    if kind == "mse":
        low, high = everything.min(), everything.max()
        shares = np.linspace(0.3, 1, 15)
        best = min(mean_square(Range.of(low * share, high * share), everything[::7]) for share in shares)
        assert mean_square(found, everything) <= 1.1 * best
    else:
        cut = 0 if kind == "minmax" else 1e-4
        low, high = np.quantile(everything, [cut, 1 - cut])
        assert found.scale == pytest.approx((high - low) / 255, rel=0.05)


def test_the_same_tensors_have_the_same_range() -> None:
    """Though it is of a random sample."""
    tensors = [np.random.default_rng(6).standard_normal((512, 512)).astype(np.float32) for _ in range(3)]
    first, second = (observe(*tensors) for _ in range(2))
    assert [np.array_equal(*pair) for pair in zip(first._samples, second._samples, strict=True)] == [True] * 3
    assert first.range("mse") == second.range("mse")


def test_what_was_seen_first_counts_as_much_as_what_was_seen_last() -> None:
    """Tensors of 16,384 values: whole at first, and shares of them once there are many."""
    generator = np.random.default_rng(5)
    early = [generator.uniform(-1, 1, 2**14) for _ in range(150)]
    late = [generator.uniform(-3, 3, 2**14) for _ in range(150)]
    observer = observe(*early, *late)
    kept = np.concatenate(observer._samples)
    assert len(kept) > 2**19
    wide = (np.abs(kept) > 1).mean()
    assert wide == pytest.approx(1 / 3, abs=0.01)  # two thirds of half of them
