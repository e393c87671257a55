"""Graphs that compute in halves: what stays float32, and that the result does not suffer."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.half import convert_to_half
from tests.support.onnx_graphs import build, node, run

ISLANDS = {"Pow", "ReduceMean", "Sqrt", "Div", "LayerNormalization"}
PRODUCTS = {"MatMul", "Conv", "Softmax", "Gelu"}
WIDTH = 16


def random(*shape: int, seed: int) -> NDArray[np.float32]:
    fan_in = int(np.prod(shape[1:] if len(shape) == 4 else shape[:1]))
    return (np.random.default_rng(seed).standard_normal(shape) / fan_in**0.5).astype(np.float32)


def block(**changed: NDArray[np.float32]) -> ir.Model:
    """A small transformer block as export writes them, with a table before it and a convolution behind it.

    RMS norm, attention under a mask, residual, layer norm, MLP, convolution. Outputs: the picture, and the state
    after attention.
    """
    nodes = [
        node("Gather", ["table", "ids"], "e"),
        node("Add", ["x", "e"], "h"),
        node("Pow", ["h", "two"], "squares"),
        node("ReduceMean", ["squares", "last"], "mean"),
        node("Add", ["mean", "epsilon"], "safe"),
        node("Sqrt", ["safe"], "rms"),
        node("Div", ["h", "rms"], "scaled"),
        node("Mul", ["scaled", "gain"], "normed"),
        *(node("MatMul", ["normed", f"w{letter}"], letter) for letter in "qkv"),
        node("Transpose", ["k"], "keys", perm=[0, 2, 1]),
        node("MatMul", ["q", "keys"], "scores"),
        node("Add", ["scores", "mask"], "masked"),
        node("Softmax", ["masked"], "shares", axis=-1),
        node("MatMul", ["shares", "v"], "mixed"),
        node("Add", ["h", "mixed"], "state"),
        node("LayerNormalization", ["state", "gain", "shift"], "level"),
        node("MatMul", ["level", "w1"], "wide"),
        node("Gelu", ["wide"], "bent"),
        node("MatMul", ["bent", "w2"], "narrow"),
        node("Transpose", ["narrow"], "planes", perm=[0, 2, 1]),
        node("Reshape", ["planes", "grid"], "map"),
        node("Conv", ["map", "kernel", "bias"], "picture", pads=[1, 1, 1, 1]),
    ]
    mask = np.where(np.tri(6, dtype=bool), np.float32(0), np.finfo(np.float32).min)
    tensors = {
        "table": random(9, WIDTH, seed=0),
        "two": np.array(2, np.float32),
        "last": np.array([-1]),
        "epsilon": np.array(1e-6, np.float32),
        "gain": 1 + random(WIDTH, seed=1),
        "shift": random(WIDTH, seed=2),
        **{f"w{letter}": random(WIDTH, WIDTH, seed=3 + i) for i, letter in enumerate("qkv")},
        "mask": mask,
        "w1": random(WIDTH, 40, seed=6),
        "w2": random(40, WIDTH, seed=7),
        "grid": np.array([-1, WIDTH, 2, 3]),
        "kernel": random(4, WIDTH, 3, 3, seed=8),
        "bias": random(4, seed=9),
    }
    inputs = {"x": ("batch", 6, WIDTH), "ids": ("batch", 6)}
    return build(nodes, inputs, ["picture", "state"], **{**tensors, **changed})


def feeds(size: float = 1.0) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(10)
    x = (size * rng.standard_normal((3, 6, WIDTH))).astype(np.float32)
    return {"x": x, "ids": rng.integers(0, 9, (3, 6))}


def types(model: ir.Model) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Infer each value's dtype anew, from the operators' specification: the graph's own notes may be wrong."""
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    graph = inferred.graph
    found = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    return inferred, {**found, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


def relative_error(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def test_the_result_is_close_and_really_of_halves() -> None:
    """Halves have 11 bits: 5e-4 for one rounding, of which some add up."""
    model = block()
    expected = run(model, **feeds())
    convert_to_half(model.graph, set())
    for actual, exact in zip(run(model, **feeds()), expected, strict=True):
        assert actual.dtype == np.float32
        assert 0 < relative_error(actual, exact) < 4e-3


def test_inputs_and_outputs_stay_as_they_were() -> None:
    model = block()
    before = [(v.name, v.dtype) for v in (*model.graph.inputs, *model.graph.outputs)]
    convert_to_half(model.graph, set())
    assert [(v.name, v.dtype) for v in (*model.graph.inputs, *model.graph.outputs)] == before
    proto, found = types(model)
    assert found["x"] == found["picture"] == found["state"] == TensorProto.FLOAT
    assert found["ids"] == TensorProto.INT64
    assert [output.name for output in proto.graph.output] == ["picture", "state"]


def test_islands_are_float32_and_products_are_halves() -> None:
    model = block()
    convert_to_half(model.graph, set())
    proto, found = types(model)
    seen = {one.op_type for one in proto.graph.node}
    assert seen >= ISLANDS | PRODUCTS
    for one in proto.graph.node:
        floats = {found[name] for name in one.input if found[name] != TensorProto.INT64}
        if one.op_type in ISLANDS:
            assert floats == {TensorProto.FLOAT}, one.name
        if one.op_type in PRODUCTS:
            assert floats == {TensorProto.FLOAT16}, one.name


def test_the_residual_stream_stays_float32() -> None:
    """It is what sums up over layers: rounding it once per layer would cost more than all products."""
    model = block()
    convert_to_half(model.graph, set())
    _, found = types(model)
    assert {found[name] for name in ("h", "state")} == {TensorProto.FLOAT}


def test_the_graphs_notes_of_its_dtypes_are_right() -> None:
    """The checker compares them with what it infers, as do engines."""
    model = block()
    convert_to_half(model.graph, set())
    _, found = types(model)
    noted = {value.name: value.dtype for one in model.graph for value in one.outputs}
    assert {name: dtype for name, dtype in noted.items() if dtype is not None and dtype != found[name]} == {}
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_weights_are_stored_once_as_halves_under_their_names() -> None:
    model = block()
    names = set(model.graph.initializers)
    convert_to_half(model.graph, set())
    _, found = types(model)
    for name in ("wq", "wk", "wv", "w1", "w2", "kernel", "table"):
        assert found[name] == TensorProto.FLOAT16
    assert set(model.graph.initializers) == names
    exact = block().graph.initializers["w1"].const_value.numpy()
    assert np.array_equal(model.graph.initializers["w1"].const_value.numpy(), exact.astype(np.float16))


@pytest.mark.parametrize("name", ["w1", "kernel", "table"])
def test_a_kept_weight_and_its_product_stay_float32(name: str) -> None:
    model = block()
    expected = run(model, **feeds())
    convert_to_half(model.graph, {name})
    proto, found = types(model)
    assert found[name] == TensorProto.FLOAT
    (user,) = (one for one in proto.graph.node if name in one.input)
    assert {found[v] for v in (*user.input, *user.output) if found[v] != TensorProto.INT64} == {TensorProto.FLOAT}
    assert found["w2"] == TensorProto.FLOAT16
    assert relative_error(run(model, **feeds())[0], expected[0]) < 4e-3


def test_activations_whose_squares_halves_cannot_hold() -> None:
    """300 squared is beyond 65504: the norms are islands for this."""
    model = block()
    expected = run(model, **feeds(300.0))
    convert_to_half(model.graph, set())
    for actual, exact in zip(run(model, **feeds(300.0)), expected, strict=True):
        assert np.isfinite(actual).all()
        assert relative_error(actual, exact) < 4e-3


def test_a_masked_key_has_no_share() -> None:
    """The mask's float32 minimum, which is beyond halves, becomes theirs: no state may see a later position."""
    model = block()
    convert_to_half(model.graph, set())
    first = feeds()
    later = {name: values.copy() for name, values in first.items()}
    later["x"][:, 4:] += 5
    states = [run(model, **given)[1] for given in (first, later)]
    assert np.array_equal(states[0][:, :4], states[1][:, :4])
    assert not np.array_equal(states[0][:, 4:], states[1][:, 4:])


@pytest.mark.parametrize("value", [1e5, -7e4, np.nan, np.inf])
@pytest.mark.parametrize("name", ["w1", "kernel", "table"])
def test_a_weight_that_halves_cannot_hold_is_refused_by_name(name: str, value: float) -> None:
    shape = {"w1": (WIDTH, 40), "kernel": (4, WIDTH, 3, 3), "table": (9, WIDTH)}[name]
    weight = random(*shape, seed=11)
    weight.flat[5] = value
    with pytest.raises(QuantizationError, match=f"{name} has values that are not finite as halves.*keep it in 32 bits"):
        convert_to_half(block(**{name: weight}).graph, set())


def test_a_weight_that_halves_cannot_hold_may_be_kept() -> None:
    weight = random(WIDTH, 40, seed=12)
    weight[2, 3] = 1e5
    model = block(w1=weight)
    convert_to_half(model.graph, {"w1"})
    assert np.array_equal(model.graph.initializers["w1"].const_value.numpy(), weight)
