"""Weights to whole numbers and back: uniform quantization, by rounding to nearest or with error feedback (GPTQ).

Matrices are (K, N): K inputs, N outputs. Everything is NumPy; the arithmetic that decides is in float32 or wider.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.rounding.hessians import damped, inverse_factor

Matrix = NDArray[np.float32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Blocks:
    """A matrix (K, N) in blocks of `size` inputs that share a scale and a zero point, K padded to whole blocks.

    `value = (code - zero_point) * scale`

    Attributes
    ----------
    codes
        (N, k_blocks, size) uint8, each below 2^bits.
    scales
        (N, k_blocks) float32.
    zero_points
        (N, k_blocks) uint8.
    bits
        4 or 8.
    inputs
        K.
    """

    codes: Codes
    scales: Matrix
    zero_points: Codes
    bits: int
    inputs: int

    def dequantize(self) -> Matrix:
        """Return (K, N) float32."""
        shifted = self.codes.astype(np.float32) - self.zero_points[..., None]
        values: Matrix = (shifted * self.scales[..., None]).reshape(len(self.codes), -1)
        return values[:, : self.inputs].T

    @property
    def size(self) -> int:
        """Inputs per block."""
        return int(self.codes.shape[2])


@dataclass(frozen=True)
class Channels:
    """A tensor whose slices along one axis each have a scale: `value = (code - 128) * scale`.

    Attributes
    ----------
    codes
        The tensor's shape, uint8 in [1, 255]; 128 stands for zero.
    scales
        (channels,) float32.
    axis
        Of the channels.
    """

    codes: Codes
    scales: Matrix
    axis: int

    def dequantize(self) -> Matrix:
        """Return the tensor in float32."""
        shape = [1] * self.codes.ndim
        shape[self.axis] = -1
        return (self.codes.astype(np.float32) - ZERO_POINT) * self.scales.reshape(shape)


ZERO_POINT = 128


def channels(tensor: Matrix, axis: int, smallest: Matrix | None = None) -> Channels:
    """Round a tensor to 8 bits, one scale per slice along `axis`: its largest |value| / 127.

    Parameters
    ----------
    smallest
        (channels,): scales are at least this.

    Raises
    ------
    QuantizationError
        A value is not finite.
    """
    check_finite(tensor)
    others = tuple(i for i in range(tensor.ndim) if i != axis)
    spans = np.abs(tensor).max(axis=others)
    scales = _scales(spans, 127)
    if smallest is not None:
        empty = np.where(smallest > 0, smallest, scales)
        scales = np.where(spans == 0, empty, np.maximum(scales, smallest)).astype(np.float32)
    shape = [1] * tensor.ndim
    shape[axis] = -1
    codes = np.rint(tensor / scales.reshape(shape)) + ZERO_POINT  # 127 steps of a scale reach the largest value
    return Channels(codes.astype(np.uint8), scales, axis)


def blocks(matrix: Matrix, bits: int, size: int, *, symmetric: bool = False) -> Blocks:
    """Round a matrix (K, N) to the nearest codes in blocks of `size` inputs.

    Parameters
    ----------
    bits
        4 or 8.
    symmetric
        Fix the zero point in the middle and span [-max |value|, max |value|]; else span the block's range and zero.

    Raises
    ------
    QuantizationError
        A value is not finite.
    """
    check_finite(matrix)
    inputs, outputs = matrix.shape
    count = -(-inputs // size)
    padded = np.zeros((outputs, count * size), np.float32)
    padded[:, :inputs] = matrix.T
    values = padded.reshape(outputs, count, size)
    scales, zero_points = _block_grid(values, bits, symmetric)
    codes = np.rint(values / scales[..., None]) + zero_points[..., None]
    return Blocks(_clip(codes, bits), scales, zero_points.astype(np.uint8), bits, inputs)


def feedback_blocks(
    matrix: Matrix, hessian: NDArray[np.floating], bits: int, size: int, *, symmetric: bool = False
) -> Blocks:
    """Round a matrix (K, N) input by input, each time correcting the inputs still to come for the error just made.

    Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2023): it
    minimises the error of the product, not of the weights. A block's scale is taken when its turn comes.

    Parameters
    ----------
    hessian
        (K, K): X^T X of calibration inputs X (rows, K). Inputs that never occur are rounded to nearest.
    bits, size, symmetric
        As in `blocks`.

    Raises
    ------
    QuantizationError
        A value is not finite.
    """
    check_finite(matrix)
    check_finite(hessian)
    inputs, outputs = matrix.shape
    factor = inverse_factor(damped(hessian)).astype(np.float32)
    rest = matrix.T.astype(np.float32)
    count = -(-inputs // size)
    codes = np.zeros((outputs, count, size), np.uint8)
    scales = np.ones((outputs, count), np.float32)
    zeros = np.zeros((outputs, count), np.float32)
    for block in range(count):
        first, last = block * size, min((block + 1) * size, inputs)
        scale, zero = _block_grid(rest[:, first:last], bits, symmetric)
        scales[:, block], zeros[:, block] = scale, zero
        errors = np.zeros((outputs, last - first), np.float32)
        for i in range(first, last):
            column = rest[:, i]
            code = _clip(np.rint(column / scale) + zero, bits)
            codes[:, block, i - first] = code
            error = (column - (code - zero) * scale) / factor[i, i]
            rest[:, i:last] -= np.outer(error, factor[i, i:last])
            errors[:, i - first] = error
        rest[:, last:] -= errors @ factor[first:last, last:]
        codes[:, block, last - first :] = zero.astype(np.uint8)[:, None]
    return Blocks(codes, scales, zeros.astype(np.uint8), bits, inputs)


def _block_grid(values: Matrix, bits: int, symmetric: bool) -> tuple[Matrix, Matrix]:
    """Return scales and zero points (whole numbers from 0 to the largest code) of blocks whose values run along the
    last axis.
    """
    top = 2**bits - 1
    if symmetric:
        scales = _scales(np.abs(values).max(-1), 2 ** (bits - 1) - 1)
        return scales, np.full(scales.shape, 2 ** (bits - 1), np.float32)
    low, high = np.minimum(values.min(-1), 0), np.maximum(values.max(-1), 0)
    scales = _scales(high.astype(np.float64) - low, top)
    return scales, np.rint(-low / scales)


def _scales(spans: NDArray[np.floating], steps: int) -> Matrix:
    """Divide spans into steps; all-zero slices get a scale of one."""
    scales = (spans / np.float32(steps)).astype(np.float32)
    tiny = np.finfo(np.float32).tiny
    return np.where(scales < tiny, np.float32(1), scales)


def _clip(codes: Matrix, bits: int) -> Codes:
    return np.clip(codes, 0, 2**bits - 1).astype(np.uint8)


def rounding_error(values: NDArray[np.floating], rounded: NDArray[np.floating]) -> float:
    """Return the root mean square of the change, relative to that of the values."""
    size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    change = float(np.sqrt(np.mean(np.square(rounded.astype(np.float64) - values))))
    return change / size if size else change


def check_finite(values: NDArray[np.floating], name: str = "it") -> None:
    """Raise `QuantizationError`, which says what has it, if a value is NaN or infinite."""
    if not np.isfinite(values).all():
        raise QuantizationError(f"{name} has values that are not finite (NaN or infinity); repair the checkpoint")


def to_half(name: str, values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to halves; raises `QuantizationError` where a value is not finite or beyond their range."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise QuantizationError(
            f"{name} has values that are not finite as halves (the largest is {np.abs(values).max():g}); "
            "keep it in 32 bits with a rule of its own"
        )
    return halves
