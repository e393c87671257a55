"""What operators compute, beside torch or plain float64 NumPy; parameters in the types that a program gives them in."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreml.operators import OPERATORS
from amused_edge.runtime.errors import GraphError

Array = NDArray[Any]
RANDOM = np.random.default_rng(20)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int32)


def t(array: Array) -> torch.Tensor:
    """In float64, so that only our own rounding counts."""
    return torch.from_numpy(array.astype(np.float64))


X, Y, ROW, COLUMN = floats(2, 3, 5), floats(2, 3, 5), floats(5), floats(3, 1)
POSITIVE = np.abs(X) + np.float32(0.1)
IMAGE = floats(2, 6, 7, 5)
SCALE, SHIFT, MEAN, SPREAD = floats(6), floats(6), floats(6), np.abs(floats(6))
WHOLE = np.array([[5, -2, 0], [7, 3, -9]], np.int32)
TIES = np.array([[1, 4, 4, 0, 0], [2, 2, 2, 2, 2]], np.float32)
HALVES = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49, 3.51], np.float32)
WIDE = np.array([-1e4, -100, -88.5, -1, -0.0, 0, 1e-8, 1, 88.5, 100, 1e4], np.float32)
# Far enough for every tail, fine enough for the bend; the last are beyond what x**3 can hold.
GELU_X = np.concatenate([np.linspace(-20, 20, 4001), [-1e13, 1e13]]).astype(np.float32)


class Case(NamedTuple):
    """`within` is the allowed absolute error, beside a relative one of 2e-5."""

    operator: str
    arguments: dict[str, Any]
    expected: Any
    within: float = 2e-6

    def compute(self) -> tuple[Array, ...]:
        with np.errstate(over="ignore"):  # as a program is run
            found = OPERATORS[self.operator](**self.arguments)
        return found if isinstance(found, tuple) else (found,)


def conv(inputs: Array, weight: Array, pads: tuple[int, int, int, int] = (0, 0, 0, 0), **options: Any) -> Array:
    """Torch's; `pads` is top, bottom, left, right."""
    top, bottom, left, right = pads
    return F.conv2d(F.pad(t(inputs), (left, right, top, bottom)), t(weight), **options).numpy()


def conv_case(weight: Array, bias: Array | None = None, pads: Any = None, **options: Any) -> Case:
    given: dict[str, Any] = {name: ints(*v) if isinstance(v, tuple) else v for name, v in options.items()}
    if pads is not None:
        given |= {"pad_type": "custom", "pad": ints(*pads)}
    if bias is not None:
        given["bias"] = bias
    torch_names = {"stride" if name == "strides" else name: value for name, value in options.items()}
    wide_bias = None if bias is None else t(bias)
    expected = conv(IMAGE, weight, pads or (0, 0, 0, 0), bias=wide_bias, **torch_names)
    return Case("conv", {"x": IMAGE, "weight": weight, **given}, expected)


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x.astype(np.float64))
    return powers / powers.sum(axis, keepdims=True)


BATCH_NORM = {"x": IMAGE, "mean": MEAN, "variance": SPREAD}

CASES = [
    Case("add", {"x": X, "y": ROW}, t(X) + t(ROW)),
    Case("add", {"x": 0.5, "y": X}, 0.5 + t(X)),
    Case("add", {"x": WHOLE, "y": 3}, WHOLE + 3),
    Case("sub", {"x": X, "y": COLUMN}, t(X) - t(COLUMN)),
    Case("sub", {"x": 1.0, "y": X}, 1 - t(X)),
    Case("mul", {"x": X, "y": Y}, t(X) * t(Y)),
    Case("real_div", {"x": X, "y": POSITIVE}, t(X) / t(POSITIVE)),
    Case("pow", {"x": POSITIVE, "y": 1.7}, t(POSITIVE) ** 1.7),
    Case("pow", {"x": X, "y": 3.0}, t(X) ** 3),
    Case("square", {"x": X}, t(X) ** 2),
    Case("sqrt", {"x": POSITIVE}, torch.sqrt(t(POSITIVE))),
    Case("cos", {"x": 9 * X}, torch.cos(t(9 * X))),
    Case("sin", {"x": 9 * X}, torch.sin(t(9 * X))),
    Case("round", {"x": HALVES}, [-2.0, -2, 0, 0, 2, 2, 0, 4]),
    Case("greater_equal", {"x": np.float32([1, 2, 3]), "y": 2.0}, [False, True, True]),
    Case("equal", {"x": np.int32([1, 2, 3]), "y": 2}, [False, True, False]),
    Case("cast", {"x": np.float32([-1.9, -0.5, 0.5, 1.9, 255]), "dtype": "int32"}, ints(-1, 0, 0, 1, 255)),
    Case("cast", {"x": WHOLE, "dtype": "fp16"}, WHOLE.astype(np.float32)),
    Case("cast", {"x": X, "dtype": "fp32"}, X),
    Case("cast", {"x": np.float32([-0.5, 0, 2]), "dtype": "bool"}, [True, False, True]),
    Case("cast", {"x": np.array([True, False]), "dtype": "int32"}, ints(1, 0)),
    Case("clip", {"x": X, "alpha": -0.5, "beta": 0.25}, t(X).clamp(-0.5, 0.25)),
    Case("select", {"cond": X > 0, "a": X, "b": ROW}, torch.where(t(X) > 0, t(X), t(ROW))),
    Case("select", {"cond": X > 0, "a": X, "b": -1.0}, torch.where(t(X) > 0, t(X), -1.0)),
    Case("sigmoid", {"x": X}, torch.sigmoid(t(X))),
    Case("sigmoid", {"x": WIDE}, torch.sigmoid(t(WIDE))),
    Case("silu", {"x": X}, F.silu(t(X))),
    Case("silu", {"x": WIDE}, F.silu(t(WIDE))),
    Case("gelu", {"x": X}, F.gelu(t(X))),
    Case("gelu", {"x": X, "mode": "EXACT"}, F.gelu(t(X))),
    Case("gelu", {"x": GELU_X, "mode": "TANH_APPROXIMATION"}, F.gelu(t(GELU_X), approximate="tanh")),
    Case("linear", {"x": X, "weight": (w := floats(4, 5))}, F.linear(t(X), t(w))),
    Case("linear", {"x": X, "weight": w, "bias": (b := floats(4))}, F.linear(t(X), t(w), t(b))),
    Case("matmul", {"x": X, "y": (m := floats(2, 5, 4))}, t(X) @ t(m)),
    Case("matmul", {"x": X, "y": m[0]}, t(X) @ t(m[0])),
    Case("matmul", {"x": X, "y": Y, "transpose_x": True}, t(X).mT @ t(Y)),
    Case("matmul", {"x": X, "y": Y, "transpose_x": False, "transpose_y": True}, t(X) @ t(Y).mT),
    Case("matmul", {"x": m, "y": X, "transpose_x": True, "transpose_y": True}, t(m).mT @ t(X).mT),
    conv_case(floats(4, 6, 1, 1)),
    conv_case(floats(4, 6, 3, 2), floats(4)),
    conv_case(floats(4, 6, 3, 3), floats(4), pads=(1, 1, 1, 1), groups=1),
    conv_case(floats(4, 6, 3, 3), pads=(0, 2, 3, 1), strides=(2, 2)),
    conv_case(floats(4, 6, 2, 3), pads=(0, 1, 0, 1), strides=(3, 2)),
    conv_case(floats(4, 3, 3, 2), floats(4), pads=(1, 0, 0, 1), groups=2),
    conv_case(floats(6, 1, 3, 3), floats(6), pads=(1, 1, 1, 1), groups=6),
    conv_case(floats(12, 1, 2, 3), groups=6, strides=(2, 1)),
    Case("conv", {"x": IMAGE, "weight": (k := floats(4, 6, 2, 2)), "pad_type": "valid", "pad": ints(9, 9, 9, 9),
                  "dilations": ints(1, 1)},
         conv(IMAGE, k)),  # custom padding is for "custom" only
    Case("layer_norm", {"x": X, "axes": ints(-1), "epsilon": 1e-3}, F.layer_norm(t(X), (5,), eps=1e-3)),
    Case("layer_norm", {"x": X, "axes": ints(2), "gamma": ROW}, F.layer_norm(t(X), (5,), t(ROW))),
    Case("layer_norm", {"x": X, "axes": ints(1, 2), "gamma": Y[0], "beta": Y[1], "epsilon": 1e-6},
         F.layer_norm(t(X), (3, 5), t(Y[0]), t(Y[1]), 1e-6)),
    Case("layer_norm", {"x": X + 64, "axes": ints(-1)}, F.layer_norm(t(X + 64), (5,)), 5e-5),  # the mean is 64 +- 4e-6
    Case("batch_norm", BATCH_NORM, F.batch_norm(t(IMAGE), t(MEAN), t(SPREAD))),
    Case("batch_norm", {**BATCH_NORM, "gamma": SCALE, "beta": SHIFT, "epsilon": 0.1},
         F.batch_norm(t(IMAGE), t(MEAN), t(SPREAD), t(SCALE), t(SHIFT), eps=0.1)),
    Case("batch_norm", {"x": IMAGE[..., 0], "mean": MEAN, "variance": SPREAD, "beta": SHIFT},
         F.batch_norm(t(IMAGE[..., 0]), t(MEAN), t(SPREAD), bias=t(SHIFT))),
    Case("softmax", {"x": X}, softmax(X, -1)),
    Case("softmax", {"x": X, "axis": 1}, softmax(X, 1)),
    Case("softmax", {"x": X - 1000, "axis": -3}, F.softmax(t(X - 1000), 0)),
    Case("reduce_mean", {"x": X}, t(X).mean()),
    Case("reduce_mean", {"x": X, "axes": ints(-1, 0), "keep_dims": True}, t(X).mean((0, 2), keepdim=True)),
    Case("reduce_mean", {"x": X, "axes": ints(1), "keep_dims": False}, t(X).mean(1)),
    Case("reduce_sum", {"x": X}, t(X).sum()),
    Case("reduce_sum", {"x": X, "axes": ints(-2), "keep_dims": True}, t(X).sum(1, keepdim=True)),
    Case("reduce_sum", {"x": WHOLE, "axes": ints(0)}, WHOLE.sum(0)),
    Case("reduce_argmax", {"x": TIES}, ints(1, 0)),
    Case("reduce_argmax", {"x": TIES, "axis": 0, "keep_dims": True}, [[1, 0, 0, 1, 1]]),
    Case("reduce_argmin", {"x": TIES, "axis": -1, "output_dtype": "int32"}, ints(3, 0)),
    Case("reduce_argmin", {"x": -X, "axis": 1, "keep_dims": True}, t(X).argmax(1, keepdim=True)),
    Case("reshape", {"x": X, "shape": ints(3, 10)}, t(X).reshape(3, 10)),
    Case("reshape", {"x": X, "shape": ints(0, -1)}, t(X).reshape(2, 15)),
    Case("reshape", {"x": X, "shape": ints(-1, 0, 5, 1)}, t(X).reshape(2, 3, 5, 1)),
    Case("transpose", {"x": X, "perm": ints(2, 0, 1)}, t(X).permute(2, 0, 1)),
    Case("transpose", {"x": X, "perm": ints(0, -1, -2)}, t(X).permute(0, 2, 1)),
    Case("squeeze", {"x": X[:1, None], "axes": ints(0, -3)}, X[0]),
    Case("squeeze", {"x": X[:1, None]}, X[0]),
    Case("squeeze", {"x": X[:1, :1], "axes": ints(1)}, X[:1, 0]),
    Case("expand_dims", {"x": X, "axes": ints(0, 2)}, X[None, :, None]),
    Case("expand_dims", {"x": X, "axes": ints(-1, 1)}, X[:, None, :, :, None]),
    Case("split", {"x": X, "axis": 1, "num_splits": 3}, (X[:, :1], X[:, 1:2], X[:, 2:])),
    Case("split", {"x": X, "axis": -1, "split_sizes": ints(1, 3, 1)}, (X[..., :1], X[..., 1:4], X[..., 4:])),
    Case("split", {"x": X, "axis": 2, "num_splits": 2, "split_sizes": ints(4, 1)}, (X[..., :4], X[..., 4:])),
    Case("stack", {"values": [X, Y], "axis": 1}, torch.stack([t(X), t(Y)], 1)),
    Case("stack", {"values": [X, Y, X], "axis": -1}, torch.stack([t(X), t(Y), t(X)], -1)),
    Case("concat", {"values": [X, Y[:, :1]], "axis": 1, "interleave": False}, torch.cat([t(X), t(Y[:, :1])], 1)),
    Case("concat", {"values": [X, Y, Y], "axis": -1}, torch.cat([t(X), t(Y), t(Y)], -1)),
    Case("gather", {"x": X, "indices": ints(1, 0, 1)}, X[[1, 0, 1]]),
    Case("gather", {"x": X, "indices": np.array([[0, -1], [4, -5]], np.int32), "axis": -1, "batch_dims": 0},
         X[:, :, [[0, 4], [4, 0]]]),
    Case("gather", {"x": X, "indices": np.array([2], np.uint16), "axis": 1, "validate_indices": False}, X[:, 2:]),
    Case("gather_nd", {"x": X, "indices": np.array([[1, 0], [0, -1], [1, 2]], np.int32), "batch_dims": 0},
         np.stack([X[1, 0], X[0, 2], X[1, 2]])),
    Case("gather_nd", {"x": X, "indices": np.array([[[1, 0, 4]], [[0, 2, 0]]], np.int32)},
         [[X[1, 0, 4]], [X[0, 2, 0]]]),
    Case("slice_by_index", {"x": X, "begin": ints(0, 1, 1), "end": ints(1, 3, 4)}, X[0:1, 1:3, 1:4]),
    Case("slice_by_index", {"x": X, "begin": ints(0, -2, 0), "end": ints(2, -1, 5), "stride": ints(1, 1, 2)},
         X[:, -2:-1, ::2]),
    Case("slice_by_index", {"x": X, "begin": ints(1, 1, 2), "end": ints(0, 1, 0),
                            "begin_mask": [True, False, False], "end_mask": [True, False, True],
                            "squeeze_mask": [False, True, False]}, X[:, 1, 2:]),
    Case("slice_by_index", {"x": X, "begin": ints(-1, 0, 4), "end": ints(0, 0, 0), "stride": ints(1, 1, -2),
                            "begin_mask": [False, True, False], "end_mask": [False, True, True],
                            "squeeze_mask": [True, False, False]}, X[-1, :, 4::-2]),
    Case("pad", {"x": X, "pad": ints(1, 2)}, F.pad(t(X), (1, 2))),
    Case("pad", {"x": X, "pad": ints(0, 1, 2, 0), "mode": "constant", "constant_val": -1.5},
         F.pad(t(X), (2, 0, 0, 1), value=-1.5)),
    Case("pad", {"x": X, "pad": ints(1, 0, 0, 0, 0, 3)}, F.pad(t(X), (0, 3, 0, 0, 1, 0))),
    Case("upsample_nearest_neighbor", {"x": IMAGE, "scale_factor_height": 2, "scale_factor_width": 3.0},
         F.interpolate(t(IMAGE), scale_factor=(2, 3), mode="nearest")),
]  # fmt: skip


def test_every_operator_has_a_case() -> None:
    assert {case.operator for case in CASES} == set(OPERATORS)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case.operator}" for i, case in enumerate(CASES)])
def test_an_operator_agrees_with_its_oracle(case: Case) -> None:
    found = case.compute()
    for value, expected in zip(found, case.expected if len(found) > 1 else (case.expected,), strict=True):
        oracle = np.asarray(expected)
        assert value.shape == oracle.shape
        assert value.dtype.kind == oracle.dtype.kind
        np.testing.assert_allclose(value, oracle, rtol=2e-5, atol=case.within)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{case.operator}" for i, case in enumerate(CASES)])
def test_no_operator_widens_floats(case: Case) -> None:
    """A constant of the code could turn a whole tensor, and what follows it, into float64."""
    assert all(value.dtype.kind != "f" or value.dtype == np.float32 for value in case.compute())


def test_exact_gelu_is_as_near_as_its_error_function_promises() -> None:
    """Within 1.5e-7 of `math.erf`, and the few roundings of float32, at any x."""
    (found,) = Case("gelu", {"x": GELU_X, "mode": "EXACT"}, None).compute()
    for x, value in zip(GELU_X.tolist(), found.tolist(), strict=True):
        exact = 0.5 * x * (1 + math.erf(x / math.sqrt(2)))
        assert abs(value - exact) <= 0.5 * abs(x) * 1.5e-7 + 2**-21 * abs(x)


def test_sigmoid_is_never_nan_and_never_warns() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert OPERATORS["sigmoid"](x=np.float32([-100, 100, -1e38])).tolist() == [pytest.approx(0, abs=1e-43), 1, 0]


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        ("gelu", {"x": X, "mode": "SIGMOID_APPROXIMATION"}, "gelu with mode 'SIGMOID_APPROXIMATION'"),
        ("conv", {"x": IMAGE, "weight": k, "pad_type": "same"}, "conv with pad_type 'same'"),
        ("conv", {"x": IMAGE, "weight": k, "dilations": ints(2, 1)}, "conv with .* dilations"),
        ("conv", {"x": X, "weight": k[..., 0]}, "conv with .* rank 3"),
        ("concat", {"values": [X, Y], "axis": 0, "interleave": True}, "concat with interleave"),
        ("gather", {"x": X, "indices": ints(0), "batch_dims": 1}, "gather with batch_dims"),
        ("gather_nd", {"x": X, "indices": ints(0), "batch_dims": 1}, "gather_nd with batch_dims"),
        ("pad", {"x": X, "pad": ints(1, 1), "mode": "reflect"}, "pad with mode 'reflect'"),
        (
            "upsample_nearest_neighbor",
            {"x": IMAGE, "scale_factor_height": 1.5, "scale_factor_width": 2},
            "upsample_nearest_neighbor by a fraction",
        ),
    ],
)
def test_a_variant_that_it_does_not_know_is_named(operator: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=f"{message}.* not known to the evaluator"):
        OPERATORS[operator](**arguments)
