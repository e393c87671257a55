"""Palettes with error feedback against least squares in float64, and what they must win where inputs correlate."""

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.rounding import feedback_palettes as module
from amused_edge.quantization.rounding.feedback_palettes import feedback_palettes
from amused_edge.quantization.rounding.hessians import damped
from amused_edge.quantization.rounding.palettes import palette, palette_values


def correlated_inputs(rows: int, inputs: int, seed: int) -> NDArray[np.float64]:
    """Inputs that a quarter as many hidden causes explain, up to a little noise."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((rows, max(1, inputs // 4))) @ rng.standard_normal((max(1, inputs // 4), inputs))
    return causes + 0.1 * rng.standard_normal((rows, inputs))


def weights(outputs: int, inputs: int, dtype: type[np.floating] = np.float16) -> NDArray[np.floating]:
    return np.random.default_rng(outputs).standard_normal((outputs, inputs)).astype(dtype)


def expand(weight: NDArray[np.floating], hessian: NDArray[np.floating], bits: int, group: int | None = None):  # type: ignore[no-untyped-def]
    return np.concatenate([p.expand() for p in feedback_palettes(weight, hessian, bits, group)]).astype(np.float64)


def error(inputs: NDArray[np.float64], weight: NDArray[np.floating], rounded: NDArray[np.floating]) -> float:
    """Of the outputs, squared and summed."""
    return float(((inputs @ (rounded.astype(np.float64) - weight).T) ** 2).sum())


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
@pytest.mark.parametrize(("outputs", "inputs", "group"), [(24, 64, None), (24, 53, 8), (7, 150, None), (1, 3, 1)])
@pytest.mark.parametrize("rows", [1, 20, 400])
def test_no_layer_is_worse_than_with_the_nearest_values(
    bits: int, outputs: int, inputs: int, group: int | None, rows: int
) -> None:
    """Of every group, on the inputs that were seen, also where these are fewer than the layer has."""
    weight, seen = weights(outputs, inputs), correlated_inputs(rows, inputs, seed=bits)
    made = expand(weight, seen.T @ seen, bits, group)
    size = group or outputs
    for first in range(0, outputs, size):
        part = weight[first : first + size]
        nearest = error(seen, part, palette(part, bits).expand())
        assert error(seen, part, made[first : first + size]) <= nearest * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("group", [None, 8])
def test_correlated_inputs_have_less_error_in_the_product(
    bits: int, dtype: type[np.floating], group: int | None
) -> None:
    """Judged on inputs that calibration did not see; 0.6 is the bound that blocks have too."""
    both = correlated_inputs(2000, 72, seed=1)
    seen, others = both[:1500], both[1500:]
    weight = weights(24, 72, dtype)
    parts = [weight[i : i + (group or 24)] for i in range(0, 24, group or 24)]
    nearest = np.concatenate([palette(part, bits).expand() for part in parts])
    assert error(others, weight, expand(weight, seen.T @ seen, bits, group)) < 0.6 * error(others, weight, nearest)


def test_values_are_the_least_squares_solution_for_their_places() -> None:
    """Two clusters so far apart that nothing changes sides, against a solver that knows no second moments."""
    rng = np.random.default_rng(3)
    places = rng.integers(0, 2, (5, 12))
    weight = (np.array([-1.0, 1.0])[places] + 0.05 * rng.standard_normal(places.shape)).astype(np.float32)
    inputs = rng.standard_normal((200, 12)) @ (np.eye(12) + 0.3 * rng.standard_normal((12, 12)))
    (found,) = feedback_palettes(weight, inputs.T @ inputs, 1)
    assert np.array_equal(found.indices, places)
    design = np.concatenate([np.stack([inputs @ (row == k) for k in (0, 1)], axis=1) for row in places])
    wanted = np.concatenate([inputs @ row for row in weight.astype(np.float64)])
    assert found.values == pytest.approx(np.linalg.lstsq(design, wanted, rcond=None)[0], rel=2e-3)  # damping: 1e-2


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_without_correlation_each_weight_has_its_nearest_value_and_each_value_is_a_mean(bits: int) -> None:
    """What is left is k-means, weighted by the moments; the last pass over places may move a value's mean a little."""
    weight = weights(16, 40, np.float32)
    moments = np.linspace(1, 9, 40)
    (found,) = feedback_palettes(weight, np.diag(moments), bits)
    distances = np.abs(weight[:, :, None].astype(np.float64) - found.values)
    assert np.abs(weight - found.expand()) == pytest.approx(distances.min(-1), abs=1e-6)
    mass = np.broadcast_to(moments + 0.01 * moments.mean(), weight.shape)
    for k, value in enumerate(found.values):
        held = found.indices == k
        assert value == pytest.approx(np.average(weight[held], weights=mass[held]), abs=0.02)


def test_inputs_with_the_largest_moments_are_rounded_first() -> None:
    """Each error goes to the inputs still to come as Optimal Brain Surgeon says (Hassibi & Stork, 1993), whose inverse
    loses a row with every input: no Cholesky factor, and no blocks.
    """
    seen = correlated_inputs(400, 140, seed=3) * np.random.default_rng(0).permutation(np.geomspace(0.1, 10, 140))
    weight = weights(6, 140)
    state = module._start(weight[None], seen.T @ seen, 3)
    rest, inverse = weight.astype(np.float64), np.linalg.inv(damped(seen.T @ seen))
    places, importance = np.zeros(weight.shape, np.int64), np.zeros(140)
    for i in sorted(range(140), key=lambda i: -(seen[:, i] ** 2).sum()):
        places[:, i] = np.abs(rest[:, i, None] - state.values[0]).argmin(1)
        error = (rest[:, i] - state.values[0][places[:, i]]) / inverse[i, i]
        importance[i] = 1 / inverse[i, i]
        rest -= error[:, None] * inverse[i]
        inverse -= np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    assert (state.places[0] != places).mean() < 0.01  # where two values are as near
    values = palette_values(weight, 3, importance)
    assert np.array_equal(state.values[0], values.astype(np.float16))
    assert not np.array_equal(state.values[0], values)


def test_groups_do_not_know_of_each_other() -> None:
    weight, seen = weights(24, 150), correlated_inputs(300, 150, seed=4)
    together = feedback_palettes(weight, seen.T @ seen, 3, 8)
    assert len(together) == 3
    for index, found in enumerate(together):
        (alone,) = feedback_palettes(weight[8 * index : 8 * index + 8], seen.T @ seen, 3)
        assert found.values == pytest.approx(alone.values, rel=2e-3)
        assert (found.indices == alone.indices).mean() > 0.99  # products of other shapes may sum in another order


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
def test_the_unit_of_the_inputs_does_not_matter(unit: float) -> None:
    seen = correlated_inputs(500, 64, seed=3)
    seen[:, 5:64:9] = 0
    weight = weights(8, 64)
    assert error(seen, weight, expand(weight, unit * (seen.T @ seen), 4)) < 0.6 * error(
        seen, weight, palette(weight, 4).expand()
    )


def test_a_palette_has_ascending_values_of_the_weights_type() -> None:
    weight, seen = weights(12, 30), correlated_inputs(100, 30, seed=5)
    hessian = seen.T @ seen
    before = weight.copy(), hessian.copy()
    for bits in (1, 4, 8):
        (found,) = feedback_palettes(weight, hessian, bits)
        assert found.values.dtype == weight.dtype
        assert (np.diff(found.values.astype(np.float64)) >= 0).all()
        assert (found.values.shape, found.indices.shape, found.indices.dtype) == ((2**bits,), (12, 30), np.uint8)
        assert found.indices.max() < 2**bits
    assert np.array_equal(weight, before[0])
    assert np.array_equal(hessian, before[1])


def test_few_distinct_values_stay_as_they_are() -> None:
    weight = np.random.default_rng(6).choice(np.array([-2, -0.5, 0, 3], np.float16), (9, 20))
    seen = correlated_inputs(100, 20, seed=6)
    assert np.array_equal(expand(weight, seen.T @ seen, 4), weight)


def test_calibration_that_saw_only_zeros_leaves_the_nearest_values() -> None:
    weight = weights(6, 40)
    assert np.array_equal(expand(weight, np.zeros((40, 40)), 4), palette(weight, 4).expand())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    weight = weights(4, 8)
    with pytest.raises(QuantizationError, match="not finite"):
        feedback_palettes(weight, np.full((8, 8), value), 4)
    weight[1, 2] = value
    with pytest.raises(QuantizationError, match="not finite"):
        feedback_palettes(weight, np.eye(8), 4)
