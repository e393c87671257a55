"""GPTQ rounding: what it must equal where nothing correlates, and what it must win where inputs do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.rounding.uniform import blocks, feedback_blocks


def correlated_inputs(rows: int, inputs: int, seed: int) -> NDArray[np.float64]:
    """Inputs that a quarter as many hidden causes explain, up to a little noise."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((rows, inputs // 4)) @ rng.standard_normal((inputs // 4, inputs))
    return causes + 0.1 * rng.standard_normal((rows, inputs))


def output_error(inputs: NDArray[np.float64], matrix: NDArray[np.float32], rounded: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(inputs @ (rounded.astype(np.float64) - matrix)))


def weights(inputs: int, outputs: int = 24, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((inputs, outputs)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("inputs", [64, 53])
def test_uncorrelated_inputs_leave_nearest_rounding(bits: int, symmetric: bool, inputs: int) -> None:
    """With a diagonal Hessian no input can make up for the error of another."""
    hessian = np.diag(np.linspace(0.5, 40, inputs))
    matrix = weights(inputs)
    rounded = feedback_blocks(matrix, hessian, bits, 32, symmetric=symmetric)
    nearest = blocks(matrix, bits, 32, symmetric=symmetric)
    assert np.array_equal(rounded.codes, nearest.codes)
    assert np.array_equal(rounded.scales, nearest.scales)
    assert np.array_equal(rounded.zero_points, nearest.zero_points)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("inputs", [64, 72])
def test_correlated_inputs_have_less_error_in_the_product(bits: int, symmetric: bool, inputs: int) -> None:
    """Judged on inputs of the same kind that calibration did not see; 0.6 was chosen before, not fitted."""
    seen = correlated_inputs(2000, inputs, seed=1)
    calibration, others = seen[:1500], seen[1500:]
    matrix = weights(inputs)
    rounded = feedback_blocks(matrix, calibration.T @ calibration, bits, 32, symmetric=symmetric)
    nearest = blocks(matrix, bits, 32, symmetric=symmetric)
    assert rounded.codes.shape == nearest.codes.shape
    assert rounded.codes.max() < 2**bits
    better, plain = (output_error(others, matrix, r.dequantize()) for r in (rounded, nearest))
    assert better < 0.6 * plain


def test_the_correction_is_that_of_the_paper() -> None:
    """The second input absorbs the error of the first, which turns its code from 4 to 3; the third sets the scale."""
    hessian = np.array([[2.0, 1.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.0, 3.0]])
    matrix = np.array([[2.59 / 7], [3.55 / 7], [1.0]], np.float32)
    damping = 0.01 * 3.0  # of the mean diagonal
    # Minimising over the second weight alone: H22 * its change = -H12 * the change of the first, here +0.41 steps.
    assert round(3.55 - 0.41 * 1.0 / (4.0 + damping)) == 3
    rounded = feedback_blocks(matrix, hessian, 4, 16, symmetric=True)
    assert rounded.codes[0, 0, :3].tolist() == [8 + 3, 8 + 3, 8 + 7]
    assert blocks(matrix, 4, 16, symmetric=True).codes[0, 0, :3].tolist() == [8 + 3, 8 + 4, 8 + 7]


@pytest.mark.parametrize("bits", [4, 8])
def test_inputs_that_never_occur_are_rounded_to_nearest(bits: int) -> None:
    never = np.arange(3, 64, 5)
    inputs = correlated_inputs(500, 64, seed=2)
    inputs[:, never] = 0
    matrix = weights(64)
    hessian = inputs.T @ inputs
    rounded = feedback_blocks(matrix, hessian, bits, 16)
    steps = np.repeat(rounded.scales, 16, axis=1).T[never]
    change = np.abs(rounded.dequantize()[never].astype(np.float64) - matrix[never])
    assert (change <= 0.5001 * steps).all()
    nearest = blocks(matrix, bits, 16).dequantize()
    assert output_error(inputs, matrix, rounded.dequantize()) < 0.6 * output_error(inputs, matrix, nearest)


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
def test_the_unit_of_the_inputs_does_not_matter(unit: float) -> None:
    """Among small inputs, too, those that never occur must not weaken the correction of the others."""
    inputs = correlated_inputs(500, 64, seed=3)
    inputs[:, 5:64:9] = 0
    matrix = weights(64)
    nearest = blocks(matrix, 4, 32).dequantize()
    rounded = feedback_blocks(matrix, unit * (inputs.T @ inputs), 4, 32).dequantize()
    assert output_error(inputs, matrix, rounded) < 0.6 * output_error(inputs, matrix, nearest)


@pytest.mark.parametrize("rank", [1, 5])
def test_fewer_calibration_rows_than_inputs_are_enough_to_be_no_worse(rank: int) -> None:
    """A singular Hessian: the damping makes it regular."""
    inputs = np.random.default_rng(4).standard_normal((rank, 64))
    matrix = weights(64)
    rounded = feedback_blocks(matrix, inputs.T @ inputs, 4, 16).dequantize()
    assert np.isfinite(rounded).all()
    assert output_error(inputs, matrix, rounded) < output_error(inputs, matrix, blocks(matrix, 4, 16).dequantize())


def test_two_inputs_that_are_always_equal() -> None:
    """Exactly repeated columns: the other way to be singular."""
    inputs = correlated_inputs(400, 32, seed=5)
    inputs = np.concatenate([inputs, inputs], axis=1)
    matrix = weights(64)
    rounded = feedback_blocks(matrix, inputs.T @ inputs, 4, 32).dequantize()
    assert output_error(inputs, matrix, rounded) < 0.6 * output_error(
        inputs, matrix, blocks(matrix, 4, 32).dequantize()
    )


def test_calibration_that_saw_only_zeros_leaves_nearest_rounding() -> None:
    matrix = weights(40)
    rounded = feedback_blocks(matrix, np.zeros((40, 40)), 4, 16)
    assert np.array_equal(rounded.codes, blocks(matrix, 4, 16).codes)


def test_arguments_are_left_alone() -> None:
    inputs = correlated_inputs(100, 32, seed=6)
    hessian, matrix = inputs.T @ inputs, weights(32)
    before = hessian.copy(), matrix.copy()
    feedback_blocks(matrix, hessian, 4, 16)
    assert np.array_equal(hessian, before[0])
    assert np.array_equal(matrix, before[1])
