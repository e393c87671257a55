"""Rounding beside what its definitions say, tried out or summed up in float64, on sizes that allow it."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.rounding import feedback_palettes as steps
from amused_edge.quantization.rounding.hessians import damped, inverse_factor, output_errors
from amused_edge.quantization.rounding.palettes import _gathered, optimal_centres, palette, palette_values
from amused_edge.quantization.rounding.ranges import Range, RangeObserver
from amused_edge.quantization.rounding.uniform import channels, feedback_blocks, rounding_error, to_half

RNG = np.random.default_rng(23)
_BEGIN = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def the_same_numbers() -> None:
    """Whichever tests ran before."""
    RNG.bit_generator.state = _BEGIN


def moments(inputs: int, rows: int = 300) -> Any:
    """X^T X of inputs that go together."""
    x = RNG.normal(size=(rows, inputs)) @ RNG.normal(size=(inputs, inputs)) * np.linspace(0.2, 3, inputs)
    return x.T @ x


# --- Palettes.


def best_error(points: Any, weights: Any, size: int) -> float:
    """The least weighted squared error of all partitions into runs."""
    least = np.inf
    for cuts in combinations(range(1, len(points)), size - 1):
        error = 0.0
        for first, last in zip((0, *cuts), (*cuts, len(points)), strict=True):
            part, w = points[first:last], weights[first:last]
            error += float(w @ (part - w @ part / w.sum()) ** 2)
        least = min(least, error)
    return least


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_the_best_partition_is_found(size: int) -> None:
    points, weights = np.sort(RNG.normal(3, 1, 9)), RNG.uniform(0.2, 5, 9)
    centres = optimal_centres(points, weights, size)
    assert centres.shape == (size,)
    assert (np.diff(centres) > 0).all()
    error = weights @ (points - centres[np.abs(points[:, None] - centres).argmin(1)]) ** 2
    assert error == pytest.approx(best_error(points, weights, size), rel=1e-9, abs=1e-12)


def test_values_for_weights_that_count_more() -> None:
    """Each row's importance is its own; equal weights share theirs."""
    weight = RNG.normal(size=(3, 4)).astype(np.float32)
    weight[2, 3] = weight[0, 0]
    importance = np.array([1.0, 100.0, 0.01, 7.0])
    found = palette_values(weight, 2, importance)
    points, places = np.unique(weight, return_inverse=True)
    counts = np.zeros(len(points))
    np.add.at(counts, places.reshape(-1), np.tile(importance, 3))
    wide = points.astype(np.float64)
    error = counts @ (wide - found[np.abs(wide[:, None] - found).argmin(1)]) ** 2
    assert error == pytest.approx(best_error(wide, counts, 4), rel=1e-6)
    assert palette_values(weight[:1, :3], 2, np.ones(3)).tolist() == sorted([*weight[0, :3], weight[0, :3].max()])


def test_many_points_become_few_with_their_mass() -> None:
    points, counts = np.sort(RNG.standard_t(2, 5000)), RNG.integers(1, 9, 5000).astype(np.float64)
    few, mass = _gathered(points, counts, 64)
    assert 32 < len(few) <= 64
    assert (np.diff(few) > 0).all()
    assert mass.sum() == counts.sum()
    assert mass @ few == pytest.approx(counts @ points)
    assert mass.max() < 1.5 * counts.sum() / 32  # steps of equal mass
    even, tail = np.linspace(0, 1, 2000), np.linspace(1, 9, 9)
    few, _ = _gathered(np.append(even, tail[1:]), np.ones(2008), 64)
    assert (few > 1.01).sum() == 8  # and of equal width
    same = _gathered(points[:64], counts[:64], 64)
    assert np.array_equal(same[0], points[:64])
    assert np.array_equal(same[1], counts[:64])


def test_a_palette_of_few_values_repeats_the_last() -> None:
    made = palette(np.array([[2.0, -1.0], [2.0, 2.0]], np.float16), 2)
    assert made.values.tolist() == [-1.0, 2.0, 2.0, 2.0]
    assert made.indices.tolist() == [[1, 0], [1, 1]]


# --- Error feedback.


def fed_back(rest: Any, factor: Any, rounded: Any) -> Any:
    """GPTQ input by input, without blocks: `rounded(i, column, rest)` gives what a column becomes."""
    rest, found = rest.copy(), np.empty_like(rest)
    for i in range(rest.shape[1]):
        found[:, i] = rounded(i, rest[:, i], rest)
        error = (rest[:, i] - found[:, i]) / factor[i, i]
        rest[:, i + 1 :] -= np.outer(error, factor[i, i + 1 :])
    return found


@pytest.mark.parametrize("symmetric", [False, True])
def test_blocks_with_feedback_are_those_of_the_plain_loop(symmetric: bool) -> None:
    matrix, hessian = RNG.normal(size=(40, 6)).astype(np.float32), moments(40)
    grid: dict[str, Any] = {}

    def rounded(i: int, column: Any, rest: Any) -> Any:
        if i % 16 == 0:  # a block's grid is taken when its turn comes
            part = rest[:, i : i + 16]
            low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
            scale = np.abs(part).max(1) / 7 if symmetric else (high - low) / 15
            grid.update(scale=scale, zero=np.full(6, 8.0) if symmetric else np.rint(-low / scale))
        code = np.clip(np.rint(column / grid["scale"]) + grid["zero"], 0, 15)
        return (code - grid["zero"]) * grid["scale"]

    expected = fed_back(matrix.T.astype(np.float64), inverse_factor(damped(hessian)), rounded)
    made = feedback_blocks(matrix, hessian, 4, 16, symmetric=symmetric)
    near = np.isclose(made.dequantize().T, expected, rtol=1e-3, atol=1e-4)
    assert near.mean() > 0.97  # float32 may decide a tie otherwise
    assert (made.scales.dtype, made.zero_points.dtype) == (np.float32, np.uint8)


def test_places_with_feedback_are_those_of_the_plain_loop() -> None:
    """150 inputs: more than are looked at before all others are corrected."""
    rest, values = RNG.normal(size=(2, 3, 150)), np.sort(RNG.normal(size=(2, 8)), axis=1)
    factor = inverse_factor(damped(moments(150)))
    found = steps._fed_back(rest.copy(), factor, values)
    for group in range(2):

        def nearest(i: int, column: Any, _: Any, own: Any = values[group]) -> Any:
            return own[np.abs(column[:, None] - own).argmin(1)]

        assert np.array_equal(values[group][found[group]], fed_back(rest[group], factor, nearest))


def test_inputs_with_equal_moments_keep_their_order() -> None:
    weight, hessian = RNG.normal(size=(1, 3, 40)), 100 * 0.5 ** np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    state = steps._start(weight, hessian, 2)
    own = state.values[0]
    expected = fed_back(
        weight[0], inverse_factor(damped(hessian)), lambda i, column, _: own[np.abs(column[:, None] - own).argmin(1)]
    )
    assert np.array_equal(own[state.places[0]], expected)


def test_a_pass_over_places_is_that_of_the_plain_loop() -> None:
    """Each becomes the one with the least error, given all others."""
    weight, values = RNG.normal(size=(2, 3, 140)), np.sort(RNG.normal(size=(2, 4)), axis=1)
    hessian = damped(moments(140))
    places = RNG.integers(0, 4, weight.shape)
    found = steps._descend(steps._State(weight, hessian, values, places)).places
    for group in range(2):
        for row in range(3):
            now = places[group, row].copy()
            for i in range(140):
                change = values[group][now] - weight[group, row]
                tried = change[i] + (values[group] - values[group][now[i]])
                others = hessian[i] @ change - hessian[i, i] * change[i]
                now[i] = np.argmin(hessian[i, i] * tried**2 + 2 * tried * others)
            assert np.array_equal(found[group, row], now)


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
def test_values_are_fitted_to_their_places(unit: float) -> None:
    """Least squares over all outputs at once, of 130: more than are summed up together. They end in order."""
    weight, hessian = RNG.normal(size=(1, 130, 5)), damped(moments(5)) * unit
    places = RNG.integers(0, 3, weight.shape)
    values = np.array([[3.0, -1.0, 0.5, 9.0]])  # the last is used nowhere
    state = steps._refit(steps._State(weight, hessian, values, places), np.dtype(np.float64))
    root = np.linalg.cholesky(hessian).T
    chosen = (places[0][..., None] == np.arange(3)).astype(np.float64)  # (outputs, inputs, values)
    design = np.einsum("ij,njk->nik", root, chosen).reshape(-1, 3)
    target = (weight[0] @ root.T).reshape(-1)
    best = np.linalg.lstsq(design, target, rcond=None)[0]
    assert state.values[0] == pytest.approx(np.sort([*best, 9.0]), rel=1e-5)
    assert np.allclose(state.values[0][state.places[0]], best[places[0]], rtol=1e-5)
    halves = steps._refit(steps._State(weight, hessian, values, places), np.dtype(np.float16)).values
    assert halves.dtype == np.float64
    assert np.array_equal(halves, state.values.astype(np.float16))


@pytest.mark.parametrize(("bits", "refitted"), [(4, 2), (5, 0)])
def test_palettes_of_many_bits_are_not_refitted(bits: int, refitted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(steps, "_refit", lambda state, dtype: (seen.append(dtype), state)[1])
    steps.feedback_palettes(RNG.normal(size=(8, 40)).astype(np.float16), moments(40), bits)
    assert seen == [np.float16] * refitted


def test_moments_made_regular() -> None:
    made = damped(np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    assert made == pytest.approx(np.array([[4.03, 1.0, 0.0], [1.0, 2.03, 0.0], [0.0, 0.0, 3.03]]))
    assert damped(np.zeros((2, 2))) == pytest.approx(1.01 * np.eye(2))
    factor = inverse_factor(made)
    assert factor.T @ factor == pytest.approx(np.linalg.inv(made))
    assert (np.tril(factor, -1) == 0).all()


def test_errors_of_outputs() -> None:
    change, hessian = RNG.normal(size=(2, 3)), moments(3)
    expected = [sum(row[i] * hessian[i, j] * row[j] for i in range(3) for j in range(3)) for row in change]
    assert output_errors(change.astype(np.float32), hessian) == pytest.approx(expected, rel=1e-5)


# --- Scales, halves, errors.


def test_scales_that_may_not_be_smaller() -> None:
    tensor = np.array([[1.27, 0.0, 254.0, 0.0], [0.635, 0.0, -127.0, 0.0]], np.float32)
    made = channels(tensor, 1, smallest=np.array([0.02, 0.5, 0.1, 0.0], np.float32))
    assert made.scales == pytest.approx([0.02, 0.5, 2.0, 1.0])
    assert made.scales.dtype == np.float32
    assert made.codes.tolist() == [[192, 128, 255, 128], [160, 128, 64, 128]]
    assert channels(tensor, 1).scales == pytest.approx([0.01, 1.0, 2.0, 1.0])


def test_the_error_of_rounding() -> None:
    values, rounded = np.array([3.0, -4.0], np.float32), np.array([3.0, -3.0], np.float16)
    assert rounding_error(values, rounded) == pytest.approx(1 / 5)
    assert rounding_error(np.zeros(2), np.array([3.0, 4.0])) == pytest.approx(np.sqrt(12.5))
    large = np.full(3, 1e30, np.float32)
    assert rounding_error(large, large * np.float32(1.5)) == pytest.approx(0.5)


def test_halves() -> None:
    made = to_half("w", np.array([65504.0, 1 / 3], np.float32))
    assert (made.dtype, made.tolist()) == (np.float16, [65504.0, float(np.float16(1 / 3))])
    with pytest.raises(QuantizationError, match=r"^w has values .* \(the largest is 70000\)"):
        to_half("w", np.array([1.0, -70000.0], np.float32))


# --- Ranges.


def test_least_squares_shrinks_the_upper_end_then_the_lower() -> None:
    values = np.concatenate([RNG.standard_t(2, 3000), -3 * RNG.exponential(size=3000)]).astype(np.float32)
    observer = RangeObserver()
    observer.add(values)
    shares = [0.3 + 0.02 * i for i in range(36)]

    def error(low: float, high: float) -> float:
        return float(np.mean((Range.of(low, high).round_trip(values) - values.astype(np.float64)) ** 2))

    low, high = float(values.min()), float(values.max())
    high = min((high * share for share in shares), key=lambda end: error(low, end))
    low = min((low * share for share in shares), key=lambda end: error(end, high))
    found = observer.range("mse")
    assert found.scale == pytest.approx(Range.of(low, high).scale, rel=1e-6)
    assert found.zero_point == Range.of(low, high).zero_point
    assert high < 0.99 * values.max()


def test_how_many_values_are_kept() -> None:
    """All of a tensor up to 65,536; shares of it once 2,097,152 are kept of all, and one at least."""
    observer = RangeObserver()
    for size in (10, 2**16, 2**17):
        observer.add(np.full(size, 1.0, np.float32))
    assert [len(sample) for sample in observer._samples] == [10, 2**16, 2**16]
    for _ in range(30):
        observer.add(np.zeros(2**16, np.float32))
    assert [len(sample) for sample in observer._samples[:3]] == [5, 2**15, 2**15]
    observer.add(np.zeros(1, np.float32))
    observer.add(np.zeros(2**20, np.float32))
    assert [len(sample) for sample in observer._samples[-2:]] == [1, 2**15]


def test_codes_of_singles_are_those_of_float64() -> None:
    values, found = RNG.uniform(-2, 3, 200_000).astype(np.float32), Range.of(-1.7, 2.9)
    codes = np.clip(np.rint(values.astype(np.float64) / found.scale) + found.zero_point, 0, 255)
    assert np.array_equal(found.round_trip(values), (codes - found.zero_point) * found.scale)


def test_the_smallest_ranges() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    assert Range.of(0.0, 254 * tiny) == Range(1.0, 0)
    assert Range.of(0.0, 255 * tiny).scale == tiny
    assert Range.of(-1.0, 1.55) == Range(float(np.float32(0.01)), 100)
    assert Range(0.5, 10).round_trip(np.array([-9.0, -5.0, 0.2, 0.3, 200.0])).tolist() == [-5.0, -5.0, 0.0, 0.5, 122.5]
