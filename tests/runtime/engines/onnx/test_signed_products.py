"""Sums of signed 8-bit weights: asked of the engine, and of a session where they would saturate."""

import platform

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from amused_edge.runtime import EngineOptions
from amused_edge.runtime.engines.onnx import session, signed_products
from amused_edge.runtime.system.cpu import cpu_facts

X86 = ("x86_64", "AMD64")
DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


@pytest.mark.skipif(platform.system() != "Linux" or platform.machine() not in X86, reason="needs Linux on x86")
def test_the_engine_finds_what_the_system_says_of_the_cpu() -> None:
    assert signed_products.adds_signed_products_exactly() is not DOT_PRODUCTS.isdisjoint(cpu_facts()["flags"].split())


def test_what_is_asked_is_one_product() -> None:
    shapes = {"a": (TensorProto.UINT8, [1, 4]), "b": (TensorProto.INT8, [4, 1]), "y": (TensorProto.INT32, [1, 1])}
    a, b, y = (helper.make_tensor_value_info(name, *shape) for name, shape in shapes.items())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "g", [a, b], [y])
    expected = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=5)
    assert expected.SerializeToString() == signed_products._MODEL


@pytest.mark.parametrize(("total", "exact"), [(4 * 255 * 127, True), (2 * 32767, False)])
def test_sessions_ask_for_exact_sums_where_the_engine_has_none(
    total: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """65534 is what a Haswell returns: two pairs, each the most that 16 bits hold."""

    class Saturating:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self, *_: object) -> list[object]:
            return [np.array([[total]], np.int32)]

    with monkeypatch.context() as patched:
        patched.setattr(signed_products.ort, "InferenceSession", Saturating)
        answer = signed_products.adds_signed_products_exactly.__wrapped__()
    assert answer is exact
    monkeypatch.setattr(session, "adds_signed_products_exactly", lambda: answer)
    assert _asks_for_exact_sums(session.session_options(EngineOptions())) is not exact


def _asks_for_exact_sums(options: ort.SessionOptions) -> bool:
    try:
        return bool(options.get_session_config_entry("session.x64quantprecision") == "1")
    except RuntimeError:
        return False
