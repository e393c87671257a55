"""What Core ML's operations compute, in NumPy: those that our programs use, by the names and parameters of Apple's MIL.

Floats are float32 arrays whatever the program's type; rounding to half is the caller's. Sums are in float32.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.errors import GraphError, quoted

Array = NDArray[Any]

OPERATORS: dict[str, Callable[..., Any]] = {}
"""Operator -> function of its parameters; one array, or a tuple of arrays where there are several outputs."""


def operator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter a function under its name."""
    OPERATORS[function.__name__] = function
    return function


# Elementwise

for _name, _ufunc in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "real_div": np.divide,
    "pow": np.power,
    "square": np.square,
    "sqrt": np.sqrt,
    "cos": np.cos,
    "sin": np.sin,
    "round": np.rint,
    "equal": np.equal,
    "greater_equal": np.greater_equal,
}.items():

    def _elementwise(x: Array, y: Array | None = None, *, ufunc: np.ufunc = _ufunc) -> Array:
        result: Array = ufunc(x) if y is None else ufunc(x, y)
        return result

    OPERATORS[_name] = _elementwise


@operator
def cast(x: Array, dtype: str) -> Array:
    """Towards zero from floats to whole numbers."""
    if dtype in ("fp16", "fp32"):
        return x.astype(np.float32)
    return x != 0 if dtype == "bool" else x.astype(dtype)


@operator
def clip(x: Array, alpha: float, beta: float) -> Array:
    """Into [alpha, beta]."""
    return np.clip(x, alpha, beta)


@operator
def select(cond: Array, a: Array, b: Array) -> Array:
    """A where cond, else b."""
    return np.where(cond, a, b)


@operator
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, small) / (1 + small)
    return result


@operator
def silu(x: Array) -> Array:
    """X * sigmoid(x)."""
    result: Array = x * sigmoid(x)
    return result


@operator
def gelu(x: Array, mode: str = "EXACT") -> Array:
    """X times the normal distribution function of x (Hendrycks & Gimpel 2016)."""
    if mode == "TANH_APPROXIMATION":
        share = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    elif mode == "EXACT":
        share = 1 + _erf(x * np.float32(math.sqrt(0.5)))
    else:
        raise GraphError(f"gelu with mode {quoted(mode)} is not known to the evaluator")
    result: Array = 0.5 * x * share
    return result


def _erf(x: Array) -> Array:
    """Error function, within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26)."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.copysign(1 - series * np.exp(-x * x), x))


# Products


@operator
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """(..., in) and weight (out, in) -> (..., out)."""
    y: Array = x @ weight.T
    return y if bias is None else y + bias


@operator
def matmul(x: Array, y: Array, transpose_x: bool = False, transpose_y: bool = False) -> Array:
    """Product of the last two axes."""
    left = np.swapaxes(x, -1, -2) if transpose_x else x
    right = np.swapaxes(y, -1, -2) if transpose_y else y
    product: Array = left @ right
    return product


@operator
def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Array:
    """(B, in, h, w) and weight (out, in / groups, kh, kw) -> (B, out, h', w'), one product per place of the kernel."""
    if pad_type not in ("valid", "custom") or x.ndim != 4 or any(d != 1 for d in dilations):
        raise GraphError(
            f"conv with pad_type {quoted(pad_type)}, rank {x.ndim} or dilations is not known to the evaluator"
        )
    if pad_type == "custom":
        x = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[1]), (pad[2], pad[3])))
    batch, inputs, height, width = x.shape
    outputs, _, rows, columns = weight.shape
    high, wide = (height - rows) // strides[0] + 1, (width - columns) // strides[1] + 1
    grouped = x.reshape(batch, groups, inputs // groups, height, width)
    kernels = weight.reshape(groups, outputs // groups, inputs // groups, rows, columns)
    y = np.zeros((batch, groups, outputs // groups, high * wide), np.float32)
    for i in range(rows):
        for j in range(columns):
            part = grouped[..., i : i + strides[0] * high : strides[0], j : j + strides[1] * wide : strides[1]]
            part = part.reshape(batch, groups, inputs // groups, high * wide)
            kernel = kernels[..., i, j]
            y += kernel * part if kernel.shape[1:] == (1, 1) else kernel @ part
    y = y.reshape(batch, outputs, high, wide)
    return y if bias is None else y + bias[:, None, None]


# Norms and reductions


@operator
def layer_norm(
    x: Array,
    axes: Sequence[int],
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """Ba et al. 2016."""
    axis = tuple(int(a) for a in axes)
    centred = x - x.mean(axis, keepdims=True)
    y: Array = centred / np.sqrt(np.square(centred).mean(axis, keepdims=True) + np.float32(epsilon))
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@operator
def batch_norm(
    x: Array,
    mean: Array,
    variance: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: float = 1e-5,
) -> Array:
    """Per channel, the second axis, with given mean and variance (Ioffe & Szegedy 2015)."""
    shape = (-1, *[1] * (x.ndim - 2))
    y: Array = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + np.float32(epsilon))
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


@operator
def softmax(x: Array, axis: int = -1) -> Array:
    """Along an axis."""
    powers: Array = np.exp(x - x.max(axis, keepdims=True))
    powers /= powers.sum(axis, keepdims=True)
    return powers


@operator
def reduce_mean(x: Array, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Array:
    """Over axes, or all."""
    return np.asarray(x.mean(_axes(axes), keepdims=keep_dims))


@operator
def reduce_sum(x: Array, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Array:
    """Over axes, or all."""
    return np.asarray(x.sum(_axes(axes), keepdims=keep_dims))


def _axes(axes: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if axes is None else tuple(int(a) for a in axes)


@operator
def reduce_argmax(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """The first of the largest."""
    return np.asarray(np.argmax(x, axis, keepdims=keep_dims), output_dtype)


@operator
def reduce_argmin(x: Array, axis: int = -1, keep_dims: bool = False, output_dtype: str = "int32") -> Array:
    """The first of the smallest."""
    return np.asarray(np.argmin(x, axis, keepdims=keep_dims), output_dtype)


# Layout


@operator
def reshape(x: Array, shape: Sequence[int]) -> Array:
    """Zeros keep the axis that stands there, -1 takes what is left."""
    return x.reshape([x.shape[i] if side == 0 else int(side) for i, side in enumerate(shape)])


@operator
def transpose(x: Array, perm: Sequence[int]) -> Array:
    """Axes in another order."""
    return x.transpose([int(p) for p in perm])


@operator
def squeeze(x: Array, axes: Sequence[int] | None = None) -> Array:
    """Without the axes, which have length 1."""
    return x.squeeze(_axes(axes))


@operator
def expand_dims(x: Array, axes: Sequence[int]) -> Array:
    """With axes of length 1 at these places of the result."""
    return np.expand_dims(x, tuple(int(a) for a in axes))


@operator
def split(
    x: Array, axis: int, num_splits: int | None = None, split_sizes: Sequence[int] | None = None
) -> tuple[Array, ...]:
    """Into equal parts, or parts of these sizes."""
    if split_sizes is None:
        if num_splits is None:
            raise ValueError("neither num_splits nor split_sizes is given")
        return tuple(np.split(x, num_splits, axis))
    return tuple(np.split(x, np.cumsum(split_sizes)[:-1], axis))


@operator
def stack(values: Sequence[Array], axis: int) -> Array:
    """Along a new axis."""
    return np.stack(values, axis)


@operator
def concat(values: Sequence[Array], axis: int, interleave: bool = False) -> Array:
    """Along an axis."""
    if interleave:
        raise GraphError("concat with interleave is not known to the evaluator")
    return np.concatenate(values, axis)


@operator
def gather(x: Array, indices: Array, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """Slices of x along an axis, by index; negative ones count from the end."""
    if batch_dims:
        raise GraphError("gather with batch_dims is not known to the evaluator")
    return np.take(x, indices.astype(np.int64), axis=axis)


@operator
def gather_nd(x: Array, indices: Array, batch_dims: int = 0, validate_indices: bool = False) -> Array:
    """Slices of x by tuples of indices, which stand in the last axis."""
    if batch_dims:
        raise GraphError("gather_nd with batch_dims is not known to the evaluator")
    result: Array = x[tuple(np.moveaxis(indices.astype(np.int64), -1, 0))]
    return result


@operator
def slice_by_index(
    x: Array,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Array:
    """Slices of several axes; a mask takes the whole axis at that end, or drops the axis."""
    index: list[int | slice] = []
    for i in range(x.ndim):
        if squeeze_mask is not None and squeeze_mask[i]:
            index.append(int(begin[i]))
            continue
        first = None if begin_mask is not None and begin_mask[i] else int(begin[i])
        last = None if end_mask is not None and end_mask[i] else int(end[i])
        index.append(slice(first, last, None if stride is None else int(stride[i])))
    result: Array = x[tuple(index)]
    return result


@operator
def pad(x: Array, pad: Sequence[int], mode: str = "constant", constant_val: float = 0.0) -> Array:
    """Around the last axes, with a constant."""
    if mode != "constant":
        raise GraphError(f"pad with mode {quoted(mode)} is not known to the evaluator")
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, constant_values=constant_val)


@operator
def upsample_nearest_neighbor(x: Array, scale_factor_height: float, scale_factor_width: float) -> Array:
    """Every pixel of the last two axes repeated, a whole number of times."""
    rows, columns = int(scale_factor_height), int(scale_factor_width)
    if (rows, columns) != (scale_factor_height, scale_factor_width):
        raise GraphError("upsample_nearest_neighbor by a fraction is not known to the evaluator")
    return x.repeat(rows, axis=-2).repeat(columns, axis=-1)
