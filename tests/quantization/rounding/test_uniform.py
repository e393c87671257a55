"""Weights to whole numbers and back, beside the definition of uniform quantization computed in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.rounding.hessians import damped
from amused_edge.quantization.rounding.uniform import Blocks, blocks, channels, feedback_blocks, to_half

HALF = 0.5 + 1e-4
"""Half a step, and what the division of a float32 value by a float32 scale may lose."""


def block_steps(matrix: NDArray[np.floating], bits: int, size: int, symmetric: bool) -> NDArray[np.float64]:
    """The step that each element of a matrix (K, N) is rounded with, by definition."""
    steps = np.empty(matrix.shape)
    for first in range(0, len(matrix), size):
        for column in range(matrix.shape[1]):
            values = matrix[first : first + size, column].astype(np.float64)
            if symmetric:
                step = np.abs(values).max() / (2 ** (bits - 1) - 1)
            else:
                step = (max(values.max(), 0) - min(values.min(), 0)) / (2**bits - 1)
            steps[first : first + size, column] = step
    return steps


def check_layout(rounded: Blocks, matrix: NDArray[np.floating], bits: int, size: int) -> None:
    """De-quantizing by hand, from the documented layout alone, gives what `dequantize` gives."""
    inputs, outputs = matrix.shape
    count = -(-inputs // size)
    assert rounded.codes.shape == (outputs, count, size)
    assert rounded.scales.shape == rounded.zero_points.shape == (outputs, count)
    assert (rounded.codes.dtype, rounded.scales.dtype, rounded.zero_points.dtype) == (np.uint8, np.float32, np.uint8)
    assert (rounded.bits, rounded.inputs, rounded.size) == (bits, inputs, size)
    assert rounded.codes.max() < 2**bits
    assert rounded.zero_points.max() < 2**bits
    by_hand = np.empty(matrix.shape)
    for k in range(inputs):
        code = rounded.codes[:, k // size, k % size].astype(np.float64)
        by_hand[k] = (code - rounded.zero_points[:, k // size]) * rounded.scales[:, k // size]
    assert rounded.dequantize().dtype == np.float32
    np.testing.assert_allclose(rounded.dequantize(), by_hand, rtol=1e-6)


# --- One scale per channel.


@pytest.mark.parametrize(("shape", "axis"), [((37, 12), 1), ((37, 12), 0), ((6, 5, 3, 3), 0), ((8, 1, 3, 3), 0)])
def test_channels_are_within_half_a_step_along_their_axis(shape: tuple[int, ...], axis: int) -> None:
    rng = np.random.default_rng(0)
    spread = np.logspace(-3, 3, shape[axis])  # a scale taken along a wrong axis would be off by orders of magnitude
    tensor = np.moveaxis(np.moveaxis(rng.standard_normal(shape), axis, -1) * spread, -1, axis).astype(np.float32)
    rounded = channels(tensor, axis)
    assert rounded.codes.shape == tensor.shape
    assert rounded.scales.shape == (shape[axis],)
    for i in range(shape[axis]):
        original = np.take(tensor, i, axis).astype(np.float64)
        step = np.abs(original).max() / 127
        assert rounded.scales[i] == pytest.approx(step, rel=1e-6)
        values = (np.take(rounded.codes, i, axis).astype(np.float64) - 128) * rounded.scales[i]
        assert np.abs(values - original).max() <= HALF * step
        np.testing.assert_allclose(np.take(rounded.dequantize(), i, axis), values, rtol=1e-6)


def test_channels_reach_both_ends_and_zero_exactly() -> None:
    tensor = np.array([[1.0, -2.0], [0.0, 0.0], [-1.0, 2.0]], np.float32)
    rounded = channels(tensor, axis=1)
    assert rounded.codes.tolist() == [[255, 1], [128, 128], [1, 255]]
    np.testing.assert_allclose(rounded.dequantize(), tensor, rtol=1e-6)


def test_a_channel_of_zeros_stays_zero() -> None:
    tensor = np.array([[0.0, 3.0], [0.0, -1.0]], np.float32)
    rounded = channels(tensor, axis=1)
    assert np.isfinite(rounded.scales).all()
    assert rounded.scales.min() > 0
    assert rounded.dequantize()[:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("size", [1e-30, 1e-42, 3e38])
def test_channels_of_extreme_size_stay_finite_and_close(size: float) -> None:
    tensor = (np.linspace(-1, 1, 24, dtype=np.float64).reshape(8, 3) * size).astype(np.float32)
    rounded = channels(tensor, axis=1).dequantize()
    assert np.isfinite(rounded).all()
    # Scales are normal numbers: what lies below the smallest of them may become zero.
    step = max(float(np.abs(tensor).max()) / 127, 2 * 127 * float(np.finfo(np.float32).tiny))
    assert np.abs(rounded.astype(np.float64) - tensor).max() <= HALF * step


# --- Blocks.


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("inputs", "size"), [(64, 32), (32, 32), (33, 16), (5, 16), (1, 16), (100, 64)])
def test_blocks_are_within_half_a_step(bits: int, symmetric: bool, inputs: int, size: int) -> None:
    """Also where the inputs are no multiple of the block."""
    rng = np.random.default_rng(inputs)
    spread = np.logspace(-2, 2, inputs * 7).reshape(inputs, 7)
    matrix = ((rng.standard_normal((inputs, 7)) + 0.5) * spread).astype(np.float32)
    rounded = blocks(matrix, bits, size, symmetric=symmetric)
    check_layout(rounded, matrix, bits, size)
    if symmetric:
        assert (rounded.zero_points == 2 ** (bits - 1)).all()
    change = np.abs(rounded.dequantize().astype(np.float64) - matrix)
    assert (change <= HALF * block_steps(matrix, bits, size, symmetric)).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [4, 8])
def test_blocks_of_one_sign_span_from_zero(bits: int, sign: int) -> None:
    """The range is [0, max] and not [min, max]: zero, which padding is made of, must stay exact."""
    matrix = (sign * np.linspace(10, 11, 20).reshape(20, 1)).astype(np.float32)
    rounded = blocks(matrix, bits, 16)
    assert set(rounded.zero_points.ravel().tolist()) == {0 if sign > 0 else 2**bits - 1}
    change = np.abs(rounded.dequantize().astype(np.float64) - matrix)
    assert (change <= HALF * block_steps(matrix, bits, 16, False)).all()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_padding_stands_for_zero(bits: int, symmetric: bool) -> None:
    """An engine that computes whole blocks adds nothing there."""
    matrix = np.random.default_rng(1).standard_normal((21, 4)).astype(np.float32) + 1
    for rounded in (
        blocks(matrix, bits, 16, symmetric=symmetric),
        feedback_blocks(matrix, np.eye(21), bits, 16, symmetric=symmetric),
    ):
        assert (rounded.codes[:, 1, 5:] == rounded.zero_points[:, 1, None]).all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_block_of_zeros_stays_zero(symmetric: bool) -> None:
    matrix = np.random.default_rng(2).standard_normal((48, 3)).astype(np.float32)
    matrix[16:32] = 0
    for rounded in (blocks(matrix, 4, 16, symmetric=symmetric), blocks(matrix * 0, 8, 16, symmetric=symmetric)):
        assert np.isfinite(rounded.scales).all()
        assert (rounded.dequantize()[16:32] == 0).all()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [1e-30, 1e-42, 3e38])
def test_blocks_of_extreme_size_stay_finite_and_close(size: float, symmetric: bool) -> None:
    """3e38: the span of both signs is beyond float32, its steps are not."""
    matrix = (np.linspace(-1, 1, 32).reshape(16, 2) * size).astype(np.float32)
    rounded = blocks(matrix, 8, 16, symmetric=symmetric).dequantize()
    assert np.isfinite(rounded).all()
    steps = np.maximum(block_steps(matrix, 8, 16, symmetric), 2 * 255 * float(np.finfo(np.float32).tiny))
    assert (np.abs(rounded.astype(np.float64) - matrix) <= HALF * steps).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    matrix = np.ones((16, 2), np.float32)
    matrix[3, 1] = value
    for attempt in (
        lambda: channels(matrix, 1),
        lambda: blocks(matrix, 4, 16),
        lambda: feedback_blocks(matrix, np.eye(16), 4, 16),
        lambda: feedback_blocks(np.ones((16, 2), np.float32), np.full((16, 16), value), 4, 16),
    ):
        with pytest.raises(QuantizationError, match=r"not finite \(NaN or infinity\); repair the checkpoint"):
            attempt()


def test_codes_are_bytes_and_say_how_many_bits_they_have() -> None:
    matrix = np.random.default_rng(2).standard_normal((10, 3)).astype(np.float32)
    for made in (blocks(matrix, 4, 4), feedback_blocks(matrix, np.eye(10), 4, 4), channels(matrix, 0)):
        assert made.codes.dtype == np.uint8
        assert made.scales.dtype == made.dequantize().dtype == np.float32
        if isinstance(made, Blocks):
            assert (made.bits, made.zero_points.dtype) == (4, np.uint8)


def test_the_largest_values_have_the_outermost_codes() -> None:
    """Of any size: codes of channels need no limit."""
    generator = np.random.default_rng(3)
    sizes = 10.0 ** generator.uniform(-34, 38, (20_000, 1))
    tensor = (generator.uniform(-1, 1, (20_000, 3)) * sizes).astype(np.float32)
    made = channels(tensor, 0)
    assert np.abs(made.codes.astype(int) - 128).max(1).tolist() == [127] * 20_000


def test_values_too_small_for_a_scale_are_zero() -> None:
    """One below the smallest normal number has not all its digits, and some engines take it for zero."""
    tiny = np.full((8, 2), 1e-40, np.float32)
    for made in (channels(tiny, 1), blocks(tiny, 8, 4), blocks(tiny, 8, 4, symmetric=True)):
        assert (made.scales == 1).all()
        assert not made.dequantize().any()


def test_what_is_too_large_for_halves_is_refused_and_no_warning() -> None:
    with np.errstate(all="raise"), pytest.raises(QuantizationError, match=r"w has values .* \(the largest is 100000\)"):
        to_half("w", np.array([1.0, -1e5], np.float32))


def test_moments_are_computed_in_float64() -> None:
    assert damped(np.eye(3, dtype=np.float32)).dtype == np.float64
