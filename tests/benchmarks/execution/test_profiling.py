"""Precision as a share of time, on graphs whose answer is the same on every CPU; and names held against it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from amused_edge.benchmarks.execution import profiling as execution
from amused_edge.benchmarks.execution.audit import Audit, Operator, promised_precision
from amused_edge.benchmarks.execution.profiling import audit_bundle
from amused_edge.benchmarks.report.cells import ran_in
from amused_edge.benchmarks.report.document import Flag
from amused_edge.benchmarks.subjects.bundle_subject import BundleSubject, bundle_specs
from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry, TensorSpec
from amused_edge.runtime.engines.options import EngineOptions
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.audited import BLOCK, INPUTS, NBITS, OUTPUTS, UNSIGNED, WEIGHT, X, audit, node, rng
from tests.support.files import read_json


class OneGraph:
    """What an audit asks of a bundle, whose denoiser is a file made by `audit`."""

    def __init__(self, file: Path, shape: tuple[int | str, ...]) -> None:
        self._file = file
        files = (FileEntry(file.name, 1, ""),)
        self._entry = GraphEntry(files, (TensorSpec("x", "float32", shape),), (), "float32", "float32")

    def graph(self, _: str) -> GraphEntry:
        return self._entry

    def file(self, _: FileEntry) -> Path:
        return self._file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def kinds(found: Audit) -> dict[str, str]:
    return {operator.name: operator.precision for operator in found.operators}


# --- Graphs.


@pytest.mark.parametrize(("threads", "of_a_row", "turns"), [(1, 1, 3), (2, 1, 2), (3, 1, 1), (4, 2, 1)])
def test_rows_run_in_turns_on_the_threads_that_there_are(
    threads: int, of_a_row: int, turns: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def audited(_: Path, feeds: Any, engine: EngineOptions) -> Audit:
        asked.append((feeds["x"].shape, engine.threads))
        return Audit((Operator("MatMul", "float32", 1, 0.5, True, 10.0),))

    monkeypatch.setattr(execution, "audit_model", audited)
    bundle: Any = OneGraph(file, (1, *X.shape))
    rows = {"denoiser": {"x": np.stack([X, X, X])}}
    (product,) = audit_bundle(bundle, rows, EngineOptions(threads=threads))["denoiser"].operators
    assert asked == [((1, *X.shape), of_a_row)]
    assert product.seconds == turns * 0.5
    assert product.operations == 30.0


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_that_a_graph_takes_one_by_one_count_together(threads: int, file: Path) -> None:
    """As many operations as one graph of any batch has for all."""
    nodes, weights = [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT}
    audit(file, nodes, weights, X[None])
    rows = np.stack([X, X, X])
    bundle: Any = OneGraph(file, (1, *X.shape))
    found = audit_bundle(bundle, {"denoiser": {"x": rows}}, EngineOptions(threads=threads))["denoiser"]
    (product,) = found.operators
    assert product.operations == 2 * rows.size * OUTPUTS
    whole = audit(file, nodes, weights, rows)
    assert product.operations == whole.operators[0].operations


def test_a_float_matmul(file: Path) -> None:
    found = audit(file, [node("MatMul", ["x", "w"], ["y"])], {"w": WEIGHT})
    (operator,) = found.operators
    assert (operator.name, operator.precision, operator.nodes, operator.product) == ("MatMul", "float32", 1, True)
    assert operator.seconds > 0
    assert found.shares() == found.shares(products=True) == {"float32": 1.0}


def dynamic_matmul(name: str) -> tuple[list[Any], dict[str, Any]]:
    """8-bit arithmetic as an operator of its own, and as the standard's."""
    if name == "DynamicQuantizeMatMul":
        nodes = [node(name, ["x", "w", "scale", "zero"], ["y"], domain="com.microsoft")]
        return nodes, {"w": UNSIGNED, "scale": np.ones(OUTPUTS, np.float32), "zero": np.full(OUTPUTS, 128, np.uint8)}
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        node("MatMulInteger", ["xq", "w", "xz"], ["sums"]),
        node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT),
    ]
    return nodes, {"w": UNSIGNED}


@pytest.mark.parametrize("name", ["DynamicQuantizeMatMul", "MatMulInteger"])
def test_8_bit_matmuls(name: str, file: Path) -> None:
    found = audit(file, *dynamic_matmul(name))
    assert kinds(found)[name] == "int8"
    assert found.shares(products=True) == {"int8": 1.0}
    if name == "MatMulInteger":
        assert kinds(found) == {name: "int8", "DynamicQuantizeLinear": "conversion", "Cast": "conversion"}
        assert set(found.shares()) == {"int8", "conversion"}


@pytest.mark.parametrize(("level", "precision"), [(None, "float32"), (1, "float32"), (4, "int8")])
@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
def test_blocks_run_as_their_level_says(level: int | None, precision: str, named: bool, file: Path) -> None:
    """Also where nodes have no names, which the graphs of others need not have."""
    blocks = INPUTS // BLOCK
    packed = rng.integers(0, 256, (OUTPUTS, blocks, BLOCK // 2)).astype(np.uint8)
    more = {**({} if level is None else {"accuracy_level": level}), **({"name": "product"} if named else {})}
    nodes = [node("MatMulNBits", ["x", "w", "scales"], ["y"], **NBITS, **more)]
    found = audit(file, nodes, {"w": packed, "scales": np.ones((OUTPUTS, blocks), np.float32)})
    assert kinds(found) == {"MatMulNBits": precision}


def test_a_graph_of_halves_is_float16_or_tells_its_conversions(file: Path) -> None:
    """The CPU engine has few operators in halves, and which of them differs between systems."""
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    found = audit(file, nodes, {"w": WEIGHT.astype(np.float16)}, X.astype(np.float16), TensorProto.FLOAT16)
    (precision,) = found.shares(products=True)
    assert (precision, "Cast" in kinds(found)) in {("float16", False), ("float32", True)}


def test_stored_halves_that_run_in_float32_are_told_as_such(file: Path) -> None:
    nodes = [node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT), node("MatMul", ["x", "wide"], ["y"])]
    assert audit(file, nodes, {"w": WEIGHT.astype(np.float16)}).shares(products=True) == {"float32": 1.0}


def test_nodes_are_counted_and_shares_sum_to_1(file: Path) -> None:
    """Two products in float32, one in 8 bits, and things that compute no numbers."""
    nodes = [
        node("MatMul", ["x", "v"], ["a"], name="one"),
        node("MatMul", ["a", "v"], ["b"], name="two"),
        node("DynamicQuantizeMatMul", ["b", "w", "scale", "zero"], ["c"], domain="com.microsoft"),
        node("Shape", ["c"], ["shape"]),
        node("Expand", ["c", "shape"], ["d"]),
        node("Sigmoid", ["d"], ["y"]),
    ]
    _, weights = dynamic_matmul("DynamicQuantizeMatMul")
    found = audit(file, nodes, {**weights, "v": rng.standard_normal((INPUTS, INPUTS)).astype(np.float32)})
    counts = {operator.name: operator.nodes for operator in found.operators if operator.product}
    assert counts == {"MatMul": 2, "DynamicQuantizeMatMul": 1}
    for shares in (found.shares(), found.shares(products=True)):
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-12)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert set(found.shares(products=True)) == {"float32", "int8"}
    seconds = [operator.seconds for operator in found.operators]
    assert seconds == sorted(seconds, reverse=True)


# --- Whole pictures.


def operator(precision: str, seconds: float, product: bool = True) -> Operator:
    return Operator(f"Product in {precision}", precision, 1, seconds, product)


STAGES = {
    "text_encoder": Audit((operator("float32", 1.0),)),
    "conditioner": Audit((operator("float32", 0.25),)),
    "denoiser": Audit((operator("int8", 3.0), operator("float32", 0.5), operator("other", 7.0, product=False))),
    "image_decoder": Audit((operator("float16", 2.0),)),
}


@pytest.mark.parametrize(("steps", "branches"), [(1, 1), (12, 1), (5, 2)])
def test_a_picture_weighs_each_graph_by_its_calls(steps: int, branches: int) -> None:
    """The denoiser runs at every step, for both branches at once; the text's graphs once for each branch."""
    whole = Audit.of_picture(STAGES, steps, branches)
    seconds = {"float32": 1.25 * branches + 0.5 * steps, "int8": 3.0 * steps, "float16": 2.0}
    total = sum(seconds.values())
    expected = {precision: pytest.approx(value / total) for precision, value in seconds.items()}
    assert whole.shares(products=True) == expected
    assert whole.shares()["other"] == pytest.approx(7 * steps / (total + 7 * steps))


def test_nothing_told_is_no_share() -> None:
    assert Audit.of_picture({}, 12, 2).shares() == {}
    assert ran_in(Audit(()), "demo-w8a8") == "not told"


# --- Promises.


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        *[(name, "int8") for name in ("demo-w8a8", "w8a8-blocks", "W8A8", "w4a8", "int8", "optimum-int8", "x_a8 (2)")],
        *[(name, "float16") for name in ("fp16", "demo-FP16", "half", "float16", "my_half")],
        *[(name, None) for name in ("demo-w8", "openvino-w8", "w4", "fp32", "behalf", "halfway", "int80", "fp160", "")],
        ("w8a16", None),
    ],
)
def test_names_that_promise_a_precision(name: str, promise: str | None) -> None:
    assert promised_precision(name) == promise
    assert promised_precision("demo", name) == promise


def test_a_promise_is_kept_by_half_of_the_products_time() -> None:
    def mixed(share: float) -> Audit:
        return Audit((operator("int8", share), operator("float32", 1 - share), operator("other", 9.0, product=False)))

    assert mixed(0.5).contradiction("int8") is None
    assert mixed(0.25).contradiction("int8") == "promises int8, ran 75% in float32"
    assert mixed(0.25).contradiction("float16") == "promises float16, ran 75% in float32"
    assert mixed(0.25).contradiction(None) is None
    assert ran_in(mixed(0.75), "demo-w8a8") == "75% int8 + 25% float32"
    assert ran_in(mixed(0.001), "demo") == "100% float32"


def test_a_mislabelled_bundle_is_found_out(demo_bundle: Path, tmp_path: Path) -> None:
    """Its graphs are float32; its folder says w8a8, or its manifest names that recipe."""
    settings = SamplerSettings(steps=2)
    subject = BundleSubject(str(demo_bundle), {"threads": 1})
    whole = Audit.of_picture(subject.audit("a fox", settings), settings.steps, 2)
    assert sum(whole.shares().values()) == pytest.approx(1.0)
    renamed, forged = (shutil.copytree(demo_bundle, tmp_path / name) for name in ("demo-w8a8", "innocent"))
    manifest = read_json(demo_bundle / "manifest.json")
    manifest["quantization"] = {"recipe": {"name": "w8a8"}, "parent": "0" * 64, "logits": None, "pictures": None}
    (forged / "manifest.json").write_text(json.dumps(manifest))
    honest, *liars = bundle_specs([demo_bundle, renamed, forged])
    assert ran_in(whole, honest.label, honest.facts["recipe"]) == "100% float32"
    for spec in liars:
        cell = ran_in(whole, spec.label, spec.facts["recipe"])
        assert isinstance(cell, Flag)
        assert cell == "promises int8, ran 100% in float32"
