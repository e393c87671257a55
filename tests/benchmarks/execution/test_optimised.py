"""What the engine really computes in, on graphs small enough to know the answer.

The graphs are chosen so that every CPU gives the same one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from amused_edge.benchmarks.execution.optimised import executed_products

INPUTS, OUTPUTS, BLOCK = 64, 32, 32
NBITS = {"domain": "com.microsoft", "K": INPUTS, "N": OUTPUTS, "block_size": BLOCK}
rng = np.random.default_rng(0)
WEIGHT = rng.standard_normal((INPUTS, OUTPUTS)).astype(np.float32)
UNSIGNED = rng.integers(0, 256, (INPUTS, OUTPUTS)).astype(np.uint8)
node = helper.make_node


def audit(
    file: Path,
    nodes: Sequence[Any],
    weights: Mapping[str, Any],
    *,
    takes: Sequence[int | str] = ("batch", INPUTS),
    gives: Sequence[int | str] = ("batch", OUTPUTS),
    dtype: int = TensorProto.FLOAT,
    external: bool = False,
) -> dict[str, int]:
    """Save the graph x -> y and read what runs."""
    tensors = [
        value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", dtype, takes)],
        [helper.make_tensor_value_info("y", dtype, gives)],
        tensors,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save(model, file, save_as_external_data=external, location=f"{file.name}.data", size_threshold=0)
    return executed_products(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def block_weight(bits: int) -> dict[str, Any]:
    blocks = INPUTS // BLOCK
    packed = rng.integers(0, 256, (OUTPUTS, blocks, BLOCK * bits // 8)).astype(np.uint8)
    return {"w": packed, "scales": np.ones((OUTPUTS, blocks), np.float32)}


def test_a_float_matmul(file: Path) -> None:
    assert audit(file, [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT}) == {"MatMul in float32": 1}


def test_a_double_matmul(file: Path) -> None:
    nodes, weights = [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT.astype(np.float64)}
    assert audit(file, nodes, weights, dtype=TensorProto.DOUBLE) == {"MatMul in float64": 1}


def test_stored_halves_behind_a_cast_run_in_float32(file: Path) -> None:
    nodes = [node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT), node("MatMul", ["x", "wide"], ["y"])]
    assert audit(file, nodes, {"w": WEIGHT.astype(np.float16)}) == {"MatMul in float32": 1}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("level", "precision"), [(1, "float32"), (4, "int8")])
def test_blocks_run_as_their_level_says(bits: int, level: int, precision: str, file: Path) -> None:
    nodes = [node("MatMulNBits", ["x", "w", "scales"], ["y"], bits=bits, accuracy_level=level, **NBITS)]
    assert audit(file, nodes, block_weight(bits)) == {f"MatMulNBits in {precision}": 1}


def test_blocks_without_a_level_run_in_float32(file: Path) -> None:
    nodes = [node("MatMulNBits", ["x", "w", "scales"], ["y"], bits=4, **NBITS)]
    assert audit(file, nodes, block_weight(4)) == {"MatMulNBits in float32": 1}


def test_a_dynamically_quantized_matmul(file: Path) -> None:
    nodes = [node("DynamicQuantizeMatMul", ["x", "w", "scale", "zero"], ["y"], domain="com.microsoft")]
    weights = {"w": UNSIGNED, "scale": np.ones(OUTPUTS, np.float32), "zero": np.full(OUTPUTS, 128, np.uint8)}
    assert audit(file, nodes, weights) == {"DynamicQuantizeMatMul in uint8": 1}


def test_the_spelt_out_dynamic_matmul_is_seen_as_the_engine_fuses_it(file: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        node("MatMulInteger", ["xq", "w", "xz", "zero"], ["sums"]),
        node("Cast", ["sums"], ["wide"], to=TensorProto.FLOAT),
        node("Mul", ["xs", "scale"], ["both"]),
        node("Mul", ["wide", "both"], ["y"]),
    ]
    weights = {"w": UNSIGNED, "scale": np.array([0.01], np.float32), "zero": np.array(128, np.uint8)}
    assert audit(file, nodes, weights) == {"DynamicQuantizeMatMul in uint8": 1}


def block_scales(value: float = 0.01) -> dict[str, Any]:
    return {"scale": np.full((INPUTS // BLOCK, OUTPUTS), value, np.float32)}


INT4 = helper.make_tensor("w", TensorProto.INT4, WEIGHT.shape, rng.integers(-8, 8, WEIGHT.size).tolist())
INT8 = rng.integers(-128, 128, WEIGHT.shape).astype(np.int8)


@pytest.mark.parametrize("weight", [INT4, INT8], ids=["int4", "int8"])
def test_dequantize_before_a_matmul_becomes_int8_unasked(weight: Any, file: Path) -> None:
    """It looks like float compute, and the engine rounds the activations to 8 bits: the audit must say so."""
    nodes = [
        node("DequantizeLinear", ["w", "scale"], ["wide"], axis=0, block_size=BLOCK),
        node("MatMul", ["x", "wide"], ["y"]),
    ]
    assert audit(file, nodes, {"w": weight, **block_scales()}) == {"MatMulNBits in int8": 1}


CONV = {
    "w": rng.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
    "ws": np.full(4, 0.01, np.float32),
    "wz": np.zeros(4, np.int8),
}
DEQUANTIZE_KERNEL = node("DequantizeLinear", ["w", "ws", "wz"], ["wide"], axis=0)
PICTURES: dict[str, Any] = {"takes": (1, 3, 8, 8), "gives": (1, 4, 6, 6)}


def test_a_convolution_between_quantize_and_dequantize_runs_in_integers(file: Path) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        DEQUANTIZE_KERNEL,
        node("Conv", ["xd", "wide"], ["c"]),
        node("QuantizeLinear", ["c", "ys", "yz"], ["cq"]),
        node("DequantizeLinear", ["cq", "ys", "yz"], ["y"]),
    ]
    scales = {"xs": np.float32(0.02), "xz": np.uint8(128), "ys": np.float32(0.05), "yz": np.uint8(128)}
    assert audit(file, nodes, {**CONV, **scales}, **PICTURES) == {"QLinearConv in uint8": 1}


def test_a_convolution_with_a_dequantized_kernel_runs_in_float32(file: Path) -> None:
    nodes = [DEQUANTIZE_KERNEL, node("Conv", ["x", "wide"], ["y"])]
    (what,), (count,) = zip(*audit(file, nodes, CONV, **PICTURES).items(), strict=True)
    assert what.endswith("Conv in float32")  # it may be one with another layout
    assert count == 1


def test_several_products_are_counted_by_kind(file: Path) -> None:
    nodes = [
        node("MatMulNBits", ["x", "w", "scales"], ["a"], bits=8, accuracy_level=1, **NBITS),
        node("MatMul", ["a", "first"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("MatMul", ["c", "second"], ["y"]),
    ]
    square = {name: rng.standard_normal((OUTPUTS, OUTPUTS)).astype(np.float32) for name in ("first", "second")}
    expected = {"MatMul in float32": 2, "MatMulNBits in float32": 1}
    found = audit(file, nodes, {**block_weight(8), **square})
    assert found == expected
    assert list(found) == sorted(found)


def test_a_product_of_two_activations_counts(file: Path) -> None:
    """As in attention; its dtype must be followed from the input on."""
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Transpose", ["a"], ["t"], perm=[1, 0]),
        node("MatMul", ["t", "a"], ["y"]),
    ]
    (what,) = audit(file, nodes, {}, gives=(INPUTS, INPUTS))
    assert what in ("MatMul in float32", "FusedMatMul in float32")


def test_a_graph_without_products(file: Path) -> None:
    assert audit(file, [node("Relu", ["x"], ["y"])], {}, gives=("batch", INPUTS)) == {}


def test_weights_in_a_file_beside_the_model_are_read_and_left_alone(file: Path, tmp_path: Path) -> None:
    assert audit(file, [node("Gemm", ["x", "w"], ["y"])], {"w": WEIGHT}, external=True) == {"Gemm in float32": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert np.array_equal(np.fromfile(tmp_path / "model.onnx.data", np.float32).reshape(WEIGHT.shape), WEIGHT)


def test_no_temporary_files_stay(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    audit(file, [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT})
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
