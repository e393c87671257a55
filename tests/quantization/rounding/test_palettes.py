"""Palettes beside the exact optimum, and what is special: few values, constants, halves, NaN."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.rounding.palettes import _lloyd, optimal_centres, palette, palette_values

Array = NDArray[Any]


def optimum(weight: Array, bits: int) -> float:
    """The least squared error of 2^bits values: dynamic programming over the sorted ones, which are then cut into
    runs (Wang & Song, "Ckmeans.1d.dp", 2011).
    """
    x = np.sort(weight.astype(np.float64).ravel())
    x -= x.mean()
    sums, squares = (np.concatenate([[0.0], np.cumsum(part)]) for part in (x, x * x))
    first, last = np.arange(len(x) + 1)[:, None], np.arange(len(x) + 1)
    count = np.maximum(last - first, 1)
    # (i, j): the error of one value for all of x[i:j]
    error = np.where(last >= first, squares[last] - squares[first] - (sums[last] - sums[first]) ** 2 / count, np.inf)
    best = error[0]
    for _ in range(2**bits - 1):
        best = (best[:, None] + error).min(0)
    return float(best[-1])


def squared_error(weight: Array, found: Array) -> float:
    return float(((weight.astype(np.float64) - found) ** 2).sum())


def weights(shape: str, size: int) -> Array:
    random = np.random.default_rng(11)
    return {
        "normal": lambda: random.normal(size=size),
        "heavy tails": lambda: random.standard_t(3, size=size),
        "flat": lambda: random.uniform(-1, 1, size=size),
        "skewed": lambda: random.exponential(size=size),
        "two heaps": lambda: np.concatenate([random.normal(-3, 0.1, size // 2), random.normal(3, 1, size - size // 2)]),
        "outlier": lambda: np.append(random.normal(size=size - 1), 50.0),
    }[shape]()


SHAPES = ["normal", "heavy tails", "flat", "skewed", "two heaps", "outlier"]


@pytest.mark.parametrize(("bits", "within"), [(1, 1.01), (2, 1.02), (4, 1.05), (6, 1.15)])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_near_the_optimum(shape: str, bits: int, within: float) -> None:
    """Few weights, of which each moves the palette: the hard case."""
    weight = weights(shape, 1500).astype(np.float32)
    assert squared_error(weight, palette(weight, bits).expand()) <= within * optimum(weight, bits)


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_of_a_matrix_is_near_the_optimum(shape: str, bits: int) -> None:
    """64 x 128 halves; the optimum is that of the solver which coremltools brings."""
    kmeans = pytest.importorskip("coremltools._deps.kmeans1d")
    weight = weights(shape, 64 * 128).astype(np.float16)
    distinct, counts = np.unique(weight, return_counts=True)
    codes, centres = kmeans.cluster(distinct.astype(np.float64), 2**bits, weights=counts.astype(np.float64))
    best = np.array(centres)[codes][np.searchsorted(distinct, weight)]
    assert squared_error(weight, palette(weight, bits).expand()) <= 1.1 * squared_error(weight, best)


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_form(bits: int, dtype: Any) -> None:
    weight = weights("normal", 4096).astype(dtype).reshape(32, 8, 4, 4)
    found = palette(weight, bits)
    assert (found.values.dtype, found.values.shape) == (dtype, (2**bits,))
    assert (np.diff(found.values) >= 0).all()
    assert (found.indices.dtype, found.indices.shape) == (np.uint8, weight.shape)
    assert found.indices.max() < 2**bits
    assert np.array_equal(found.expand(), found.values[found.indices])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_value_gets_the_nearest_of_the_palette(bits: int, dtype: Any) -> None:
    """As stored, in the weight's type; where two are as near, either."""
    weight = weights("heavy tails", 3000).astype(dtype)
    found = palette(weight, bits)
    distances = np.abs(weight.astype(np.float64)[:, None] - found.values.astype(np.float64))
    chosen = np.abs(weight.astype(np.float64) - found.expand())
    assert np.array_equal(chosen, distances.min(1))


@pytest.mark.parametrize("distinct", [1, 2, 15, 16])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_weight_with_few_values_is_exact(distinct: int, dtype: Any) -> None:
    values = np.unique(weights("normal", distinct).astype(dtype))
    weight = np.resize(values, (7, 13))
    found = palette(weight, 4)
    assert np.array_equal(found.expand(), weight)
    assert found.values.shape == (16,)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -65504.0, 6e-8])
def test_a_constant_weight_is_exact(value: float) -> None:
    weight = np.full((4, 6), value, np.float16)
    assert np.array_equal(palette(weight, 8).expand(), weight)


def test_values_at_the_ends_of_halves() -> None:
    """Sums of many of them are beyond what a half, and their squares beyond what float32 holds."""
    weight = np.linspace(-65504, 65504, 5000).astype(np.float16)
    found = palette(weight, 6)
    assert np.isfinite(found.values).all()
    step = 2 * 65504 / 64
    assert np.abs(weight.astype(np.float64) - found.expand()).max() <= 0.51 * step


def test_tiny_values_of_float32() -> None:
    weight = (1e-30 * weights("flat", 1000)).astype(np.float32)
    scaled = weight.astype(np.float64) * 1e30
    found = palette(weight, 4).expand().astype(np.float64) * 1e30
    assert squared_error(scaled, found) <= 1.05 * optimum(scaled, 4)


def test_the_order_of_values_does_not_matter() -> None:
    weight = weights("skewed", 2000).astype(np.float16)
    order = np.random.default_rng(1).permutation(2000)
    straight, mixed = palette(weight, 6), palette(weight[order], 6)
    assert np.array_equal(straight.values, mixed.values)
    assert np.array_equal(straight.indices[order], mixed.indices)


def test_the_weight_is_left_as_it_was() -> None:
    weight = weights("normal", 500).astype(np.float32)
    before = weight.copy()
    palette(weight, 4)
    assert np.array_equal(weight, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float, dtype: Any) -> None:
    weight = weights("normal", 100).astype(dtype)
    weight[17] = value
    with pytest.raises(QuantizationError, match=r"not finite .*repair the checkpoint"):
        palette(weight, 4)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6])
def test_the_unit_of_weights_does_not_matter(unit: float) -> None:
    """Values that count less than one, as importance may, count as they do among each other."""
    rng = np.random.default_rng(8)
    points, counts = np.sort(rng.standard_normal(40)), rng.uniform(0.1, 5, 40)
    np.testing.assert_allclose(optimal_centres(points, counts * unit, 5), optimal_centres(points, counts, 5))
    weight, importance = rng.standard_normal((4, 60)).astype(np.float32), rng.uniform(0.1, 5, 60) ** 4
    np.testing.assert_allclose(palette_values(weight, 3, importance * unit), palette_values(weight, 3, importance))


@pytest.mark.parametrize("count", [0.5, 3.0])
def test_a_centre_that_nothing_is_nearest_to_stays(count: float) -> None:
    points = np.array([0.0, 10.0])
    assert _lloyd(points, np.full(2, count), np.array([1.0, 5.5, 9.0])).tolist() == [0.0, 5.5, 10.0]
