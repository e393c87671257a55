"""The share of the limit: operations counted from shapes, over the engine's own speed at the same time."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from amused_edge.benchmarks.execution.audit import Audit, Operator
from amused_edge.benchmarks.execution.peaks import OPERATIONS, Peaks, least_seconds
from amused_edge.benchmarks.latency.measure import Turn
from amused_edge.benchmarks.latency.record import TurnRecord
from amused_edge.benchmarks.latency.shares import shares
from tests.support.audited import INPUTS, OUTPUTS, UNSIGNED, WEIGHT, X, audit

node = helper.make_node


def operations(found: Audit) -> dict[str, float]:
    return {operator.name: operator.operations for operator in found.operators if operator.operations}


def test_a_matrix_product(tmp_path: Path) -> None:
    found = audit(tmp_path / "m.onnx", [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT})
    assert operations(found) == {"MatMul": 2 * len(X) * INPUTS * OUTPUTS}


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_whose_input_may_be_transposed(tmp_path: Path, transposed: bool) -> None:
    x = np.ascontiguousarray(X.T) if transposed else X
    product = node("Gemm", ["x", "w"], ["y"], transA=int(transposed))
    assert operations(audit(tmp_path / "m.onnx", [product], {"w": WEIGHT}, x)) == {
        "Gemm": 2 * len(X) * INPUTS * OUTPUTS
    }


def test_an_integer_product_and_what_is_none(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeMatMul", ["x", "w", "s", "z"], ["p"], domain="com.microsoft"),
        node("Sigmoid", ["p"], ["y"]),
    ]
    constants = {"w": UNSIGNED, "s": np.full(OUTPUTS, 0.1, np.float32), "z": np.full(OUTPUTS, 128, np.uint8)}
    assert operations(audit(tmp_path / "m.onnx", nodes, constants)) == {
        "DynamicQuantizeMatMul": 2 * len(X) * INPUTS * OUTPUTS
    }


@pytest.mark.parametrize("keys_have_heads", [False, True])
def test_attention_is_two_products(tmp_path: Path, keys_have_heads: bool) -> None:
    batch, rows, keys, heads, size = 2, 5, 7, 4, 8
    x = np.ones((batch, rows, heads * size), np.float32)
    shape = (batch, heads, keys, size) if keys_have_heads else (batch, keys, heads * size)
    known = {"k": np.ones(shape, np.float32), "v": np.ones(shape, np.float32)}
    attention = node("MultiHeadAttention", ["x", "k", "v"], ["y"], domain="com.microsoft", num_heads=heads)
    found = audit(tmp_path / "m.onnx", [attention], known, x)
    assert operations(found) == {"MultiHeadAttention": 2 * 2 * batch * heads * rows * keys * size}


def test_a_convolution(tmp_path: Path) -> None:
    x = np.ones((1, 8, 6, 5), np.float32)
    convolution = node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1], name="convolution")
    found = audit(tmp_path / "m.onnx", [convolution], {"w": np.ones((16, 8, 3, 3), np.float32)}, x)
    assert operations(found) == {"Conv": 2 * 16 * 6 * 5 * 8 * 9}


def test_a_convolution_whose_kernel_is_dequantized_at_each_call(tmp_path: Path) -> None:
    x = np.ones((1, 8, 6, 5), np.float32)
    constants = {"k": np.ones((16, 8, 3, 3), np.uint8), "s": np.float32(0.1), "n": np.uint8(0)}
    nodes = [node("DequantizeLinear", ["k", "s", "n"], ["w"]), node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    assert operations(audit(tmp_path / "m.onnx", nodes, constants, x)) == {"Conv": 2 * 16 * 6 * 5 * 8 * 9}


def test_an_integer_convolution_whose_kernel_the_engine_repacked(tmp_path: Path) -> None:
    x = np.ones((1, 8, 6, 5), np.float32)
    scale, zero = np.float32(0.1), np.uint8(0)
    constants = {"s": scale, "z": zero, "k": np.ones((16, 8, 3, 3), np.int8), "n": np.int8(0)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("DequantizeLinear", ["k", "s", "n"], ["w"]),
        node("Conv", ["d", "w"], ["c"], pads=[1, 1, 1, 1], name="convolution"),
        node("QuantizeLinear", ["c", "s", "z"], ["p"]),
        node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    found = audit(tmp_path / "m.onnx", nodes, constants, x)
    assert operations(found) == {"QLinearConv": 2 * 16 * 6 * 5 * 8 * 9}


def test_a_transposed_convolution(tmp_path: Path) -> None:
    x = np.ones((1, 8, 6, 5), np.float32)
    convolution = node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], name="convolution")
    found = audit(tmp_path / "m.onnx", [convolution], {"w": np.ones((8, 16, 2, 2), np.float32)}, x)
    assert operations(found) == {"ConvTranspose": 2 * 8 * 6 * 5 * 16 * 4}


def test_the_limit_is_the_sum_over_precisions() -> None:
    found = Audit(
        (
            Operator("A", "int8", 1, 9.0, True, 600.0),
            Operator("B", "float32", 1, 9.0, True, 100.0),
            Operator("C", "float32", 1, 9.0, False, 0.0),
        )
    )
    assert least_seconds(found, {"int8": 300.0, "float32": 50.0}) == 600 / 300 + 100 / 50
    assert least_seconds(found, {"int8": 300.0}) is None
    assert least_seconds(Audit(()), {"int8": 1.0}) is None
    assert least_seconds(Audit((Operator("A", "int8", 1, 9.0, True, math.nan),)), {"int8": 1.0}) is None


def test_peaks_are_measured() -> None:
    found = Peaks(ort.SessionOptions()).measure()
    assert set(found) == {"int8", "float32"}
    assert all(0 < value < math.inf for values in found.values() for value in values)
    assert OPERATIONS == 2 * 512 * 1024 * 5632


def turn(number: int, seconds: list[float], peaks: dict[str, Any], batch: int = 1) -> Turn:
    stages = {"denoiser": seconds, "sampler": [1.0]}
    record = TurnRecord(stages=stages, peaks={"denoiser": peaks, "sampler": peaks})
    return Turn("a", number, 2, batch, False, record)


def test_each_round_is_held_against_its_own_peaks() -> None:
    audits = {"a": {"denoiser": Audit((Operator("P", "int8", 1, 1.0, True, 80.0),))}}
    fast, slow = {"int8": [90.0, 100.0, 110.0], "float32": [1.0]}, {"int8": [50.0], "float32": [1.0]}
    turns = [turn(0, [1.0, 1.0, 9.0], fast), turn(1, [2.0], slow), turn(0, [4.0], fast, batch=3)]
    one, three = shares([*turns, Turn("b", 0, 2, 1, False, TurnRecord(error="it broke"))], audits)
    assert (one.label, one.threads, one.batch, one.stage) == ("a", 2, 1, "denoiser")
    assert one.share.median == pytest.approx(0.8)  # 80 / 100 of 1 s, and 80 / 50 of 2 s
    assert one.peaks["int8"] == 75
    assert (three.batch, three.share.median) == (3, pytest.approx(0.6))


def test_without_an_audit_or_peaks_there_is_no_share() -> None:
    peaks = {"int8": [1.0], "float32": [1.0]}
    assert shares([turn(0, [1.0], peaks)], {}) == ()
    assert shares([turn(0, [1.0], {})], {"a": {"denoiser": Audit(())}}) == ()
