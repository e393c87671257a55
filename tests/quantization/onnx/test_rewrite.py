"""Matmuls and tables with fewer bits: the engine's result beside what the recipe says, computed plainly in float64."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.rewrite import rewrite_weight
from amused_edge.quantization.onnx.weights import expand_gemms
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.uniform import feedback_blocks
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from tests.support.onnx_graphs import build, node, operators, run, run_with, weights_of

Floats = NDArray[np.float64]

GRID_SCALE, GRID_ZERO = 2.0**-6, 100
"""A power of two, so that the engine finds exactly this scale."""


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Columns of very different sizes: a scale along a wrong axis shows."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * np.logspace(-1, 1, shape[-1])).astype(np.float32)


def on_the_grid(*shape: int, seed: int = 1) -> tuple[NDArray[np.float32], Floats]:
    """Return activations, and what 8 bits leave of them.

    They lie between the steps, but no nearer than a tenth of a step to where rounding would tip: so every engine must
    find the same codes.
    """
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 255, shape)
    off = rng.uniform(-0.4, 0.4, shape)
    codes.flat[:2], off.flat[:2] = (0, 255), 0
    values = (codes - GRID_ZERO + off) * GRID_SCALE
    return values.astype(np.float32), (codes - GRID_ZERO) * GRID_SCALE


def channel_values(matrix: NDArray[np.float32]) -> Floats:
    """Each column of (K, N) on its own 8-bit grid of [-max, max]."""
    steps = np.abs(matrix.astype(np.float64)).max(axis=0) / 127
    return np.rint(matrix / steps) * steps


def block_values(matrix: NDArray[np.float32], bits: int, size: int, symmetric: bool) -> Floats:
    """Each block of a column of (K, N) on its own grid."""
    result = np.empty(matrix.shape)
    for first in range(0, len(matrix), size):
        part = matrix[first : first + size].astype(np.float64)
        if symmetric:
            steps = np.abs(part).max(axis=0) / (2 ** (bits - 1) - 1)
            lowest, highest = np.full(len(steps), -(2.0 ** (bits - 1))), np.full(len(steps), 2.0 ** (bits - 1) - 1)
        else:
            low, high = np.minimum(part.min(axis=0), 0), np.maximum(part.max(axis=0), 0)
            steps = (high - low) / (2**bits - 1)
            lowest = -np.rint(-low / steps)
            highest = 2**bits - 1 + lowest
        result[first : first + size] = np.clip(np.rint(part / steps), lowest, highest) * steps
    return result


def one_matmul(weight: NDArray[np.float32], rank: int, rule: Rule, **known: Any) -> tuple[Any, TensorFormat]:
    shape = ("batch", "rows", len(weight))[3 - rank :]
    model = build([node("MatMul", ["x", "w"], "y")], {"x": shape}, ["y"], w=weight)
    made = rewrite_weight(model.graph, weights_of(model)["w"], rule, **known)
    return model, made


def check(actual: NDArray[np.float32], expected: Floats, tolerance: float = 1e-5) -> None:
    """Column by column: the large ones must not hide errors of the small ones."""
    actual, expected = (values.reshape(-1, expected.shape[-1]) for values in (actual, expected))
    sizes = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(actual / sizes, expected / sizes, rtol=0, atol=tolerance)


# --- Float activations: only the weights are on a grid.


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("bits", "block", "inputs"), [(8, 16, 64), (8, 64, 50), (8, 32, 33), (4, 32, 64), (4, 16, 33), (4, 16, 72)]
)
@pytest.mark.parametrize("rank", [2, 3])
def test_blocks(rank: int, bits: int, block: int, inputs: int, symmetric: bool) -> None:
    """Odd numbers of inputs and of blocks among them: 4-bit codes and zero points are packed in pairs."""
    weight = random(inputs, 6)
    x = random(*(2, 5, inputs)[3 - rank :], seed=1)
    model, made = one_matmul(weight, rank, Rule("*", bits=bits, block=block, symmetric=symmetric))
    assert operators(model) == ["MatMulNBits"]
    rounded = block_values(weight, bits, block, symmetric)
    check(run(model, x=x)[0], x.astype(np.float64) @ rounded)
    error = float(np.linalg.norm(rounded - weight) / np.linalg.norm(weight))
    assert (made.bits, made.block, made.activations, made.operator) == (bits, block, "float32", "MatMulNBits")
    assert made.error == pytest.approx(error, rel=1e-3)


def test_blocks_with_error_feedback() -> None:
    """The operator must hold the codes that the rounding chose; the rounding has tests of its own."""
    weight, calibration = random(48, 5), random(200, 48, seed=2).astype(np.float64)
    hessian = calibration.T @ calibration
    rule = Rule("*", bits=4, block=16, rounding="feedback")
    model, _ = one_matmul(weight, 2, rule, hessian=hessian)
    rounded = feedback_blocks(weight, hessian, 4, 16).dequantize().astype(np.float64)
    x = random(3, 48, seed=3)
    check(run(model, x=x)[0], x @ rounded)
    assert not np.array_equal(rounded.astype(np.float32), block_values(weight, 4, 16, False).astype(np.float32))


def test_half_storage() -> None:
    weight, x = random(33, 6), random(2, 3, 33, seed=1)
    model, made = one_matmul(weight, 3, Rule("*", bits=16))
    assert model.graph.initializers["w"].const_value.numpy().dtype == np.float16
    check(run(model, x=x)[0], x.astype(np.float64) @ weight.astype(np.float16).astype(np.float64))
    assert (made.bits, made.activations) == (16, "float32")


def test_32_bits_change_nothing() -> None:
    weight = random(4, 3)
    model, made = one_matmul(weight, 2, Rule("*"))
    assert operators(model) == ["MatMul"]
    assert np.array_equal(model.graph.initializers["w"].const_value.numpy(), weight)
    assert made == TensorFormat(32, None, "float32", "MatMul", 0.0)


# --- 8-bit activations.


@pytest.mark.parametrize("inputs", [64, 33])
@pytest.mark.parametrize("rank", [2, 3])
def test_dynamic_activations(rank: int, inputs: int) -> None:
    weight = random(inputs, 6)
    x, rounded_x = on_the_grid(*(2, 5, inputs)[3 - rank :])
    model, made = one_matmul(weight, rank, Rule("*", bits=8, activations="dynamic"))
    assert operators(model) == ["DynamicQuantizeMatMul"]
    (actual,) = run(model, x=x)
    check(actual, rounded_x @ channel_values(weight))
    with pytest.raises(AssertionError):  # the test can tell 8-bit activations from floats
        check(actual, x.astype(np.float64) @ channel_values(weight))
    assert (made.bits, made.block, made.activations) == (8, None, "dynamic uint8")


@pytest.mark.parametrize("rank", [2, 3])
def test_rowwise_activations(rank: int) -> None:
    """Rows of very different sizes, and one of zeros: each has a scale of its own."""
    weight, x = random(40, 6), random(*(2, 5, 40)[3 - rank :], seed=1)
    x *= np.logspace(-4, 4, 5, dtype=np.float32)[:, None]
    x[..., 2, :] = 0
    model, made = one_matmul(weight, rank, Rule("*", bits=8, activations="rowwise"))
    assert operators(model) == ["Abs", "ReduceMax", "Max", "Div", "DynamicQuantizeMatMul", "Mul"]
    exact = x.astype(np.float64) @ channel_values(weight)
    (actual,) = run(model, x=x)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    allowed = 0.51 * 2 * largest / 255 * np.abs(weight).sum(axis=0)
    assert (np.abs(actual - exact) <= allowed).all()
    assert (actual[..., 2, :] == 0).all()
    assert (made.bits, made.block, made.activations) == (8, None, "dynamic uint8 by row")


@pytest.mark.parametrize("activations", ["dynamic", "rowwise"])
def test_products_are_the_same_where_the_engine_is_told_to_add_exactly(activations: str) -> None:
    """It makes the signed codes unsigned ones then, which this CPU may not need."""
    x = random(3, 40, seed=1)
    model, _ = one_matmul(random(40, 6), 2, Rule("*", bits=8, activations=activations))  # type: ignore[arg-type]
    assert model.graph.initializers["w.codes"].const_value.numpy().dtype == np.int8
    protecting = ort.SessionOptions()
    protecting.add_session_config_entry("session.x64quantprecision", "1")
    assert np.array_equal(run(model, x=x)[0], run_with(protecting, model, {"x": x})[0])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("inputs", [64, 37])
def test_blockwise_activations(inputs: int, bits: int, symmetric: bool) -> None:
    """Engines differ in how they round here, and some CPUs compute it in floats: all are within half a step of it."""
    weight, x = random(inputs, 6), random(2, 3, inputs, seed=1)
    rule = Rule("*", bits=bits, block=32, symmetric=symmetric, activations="blockwise")
    model, made = one_matmul(weight, 3, rule)
    rounded = block_values(weight, bits, 32, symmetric)
    exact = x.astype(np.float64) @ rounded
    allowed = np.zeros(exact.shape)
    for first in range(0, inputs, 32):
        steps = np.abs(x[..., first : first + 32]).max(axis=-1, keepdims=True) / 127
        allowed += 0.51 * steps * np.abs(rounded[first : first + 32]).sum(axis=0)
    (actual,) = run(model, x=x)
    assert (np.abs(actual - exact) <= allowed).all()
    # Beside that hard bound: steps' errors do not all point one way.
    assert np.linalg.norm(actual - exact) < 0.02 * np.linalg.norm(exact)
    assert (made.activations, made.operator) == ("dynamic int8", "MatMulNBits")


# --- Where sums of 8-bit products are largest: CPUs without VNNI saturate some of them at 16 bits.


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_dynamic_products_never_saturate(rows: int, sign: float) -> None:
    """Every activation has the code 255 (but one 0), every weight the largest or the smallest code."""
    inputs = 2048
    weight = np.full((inputs, 20), sign * 0.75, np.float32)
    x = np.full((rows, inputs), 255 * GRID_SCALE, np.float32)
    model, _ = one_matmul(weight, 2, Rule("*", bits=8, activations="dynamic"))
    (actual,) = run(model, x=x)
    np.testing.assert_allclose(actual, np.full((rows, 20), inputs * 255 * GRID_SCALE * sign * 0.75), rtol=1e-5)


@pytest.mark.parametrize(("sign", "symmetric"), [(1.0, True), (-1.0, True), (1.0, False), (-1.0, False)])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, 40])
def test_blockwise_products_never_saturate(rows: int, bits: int, sign: float, symmetric: bool) -> None:
    inputs = 2048
    weight = np.full((inputs, 20), sign * 0.75, np.float32)
    rule = Rule("*", bits=bits, block=32, symmetric=symmetric, activations="blockwise")
    for value in (2.0, -2.0):
        x = np.full((rows, inputs), value, np.float32)
        (actual,) = run(one_matmul(weight, 2, rule)[0], x=x)
        np.testing.assert_allclose(actual, np.full((rows, 20), inputs * value * sign * 0.75), rtol=1e-5)


# --- Other graphs around the weight.

RULES = {
    "half": Rule("*", bits=16),
    "blocks": Rule("*", bits=8, block=16),
    "four": Rule("*", bits=4, block=16, symmetric=True),
    "dynamic": Rule("*", bits=8, activations="dynamic"),
}
ROUNDED = {
    "half": lambda w: w.astype(np.float16).astype(np.float64),
    "blocks": lambda w: block_values(w, 8, 16, False),
    "four": lambda w: block_values(w, 4, 16, True),
    "dynamic": channel_values,
}


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_rounds_along_the_same_axis_as_a_matmul(kind: str, turned: int) -> None:
    weight, bias = random(40, 6), random(6, seed=2)
    stored = np.ascontiguousarray(weight.T) if turned else weight
    gemm = node("Gemm", ["x", "w", "b"], "y", transB=turned)
    model = build([gemm], {"x": ("rows", 40)}, ["y"], w=stored, b=bias)
    expand_gemms(model.graph)
    rewrite_weight(model.graph, weights_of(model)["w"], RULES[kind])
    x, rounded_x = on_the_grid(3, 40)
    seen = rounded_x if kind == "dynamic" else x.astype(np.float64)
    check(run(model, x=x)[0], seen @ ROUNDED[kind](weight) + bias)


@pytest.mark.parametrize("kind", RULES)
def test_all_users_of_a_weight_get_the_rounded_one(kind: str) -> None:
    weight = random(40, 6)
    nodes = [node("MatMul", ["x", "w"], "y"), node("MatMul", ["z", "w"], "v")]
    model = build(nodes, {"x": (3, 40), "z": (2, 4, 40)}, ["y", "v"], w=weight)
    rewrite_weight(model.graph, weights_of(model)["w"], RULES[kind])
    (x, rounded_x), (z, rounded_z) = on_the_grid(3, 40), on_the_grid(2, 4, 40, seed=2)
    y, v = run(model, x=x, z=z)
    check(y, (rounded_x if kind == "dynamic" else x.astype(np.float64)) @ ROUNDED[kind](weight))
    check(v, (rounded_z if kind == "dynamic" else z.astype(np.float64)) @ ROUNDED[kind](weight))
    assert kind == "half" or "w" not in model.graph.initializers


@pytest.mark.parametrize("bits", [8, 16])
def test_rows_of_a_table(bits: int) -> None:
    """One scale per row, and indices of any shape; the same row twice."""
    table = random(9, 5).T.copy()
    nodes = [node("Gather", ["w", "ids"], "y"), node("Gather", ["w", "ids_more"], "z")]
    model = build(nodes, {"ids": ("batch", 3), "ids_more": (1,)}, ["y", "z"], w=table)
    made = rewrite_weight(model.graph, weights_of(model)["w"], Rule("*", bits=bits))
    ids = np.array([[0, 4, 4], [1, 3, 2]])
    y, z = run(model, ids=ids, ids_more=np.array([2]))
    rounded = table.astype(np.float16).astype(np.float64) if bits == 16 else channel_values(table.T).T
    np.testing.assert_allclose(y, rounded[ids], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(z, rounded[[2]], rtol=1e-6, atol=1e-9)
    assert (made.bits, made.activations, made.operator) == (bits, "float32", "Gather")


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(kind: str, value: float) -> None:
    weight = random(40, 6)
    weight[7, 3] = value
    with pytest.raises(QuantizationError, match="not finite"):
        one_matmul(weight, 2, RULES[kind])


def test_weights_beyond_halves_are_refused_by_name() -> None:
    weight = random(4, 3)
    weight[1, 1] = 1e5
    with pytest.raises(
        QuantizationError, match=r"w has values that are not finite as halves \(the largest is 100000\)"
    ):
        one_matmul(weight, 2, Rule("*", bits=16))
