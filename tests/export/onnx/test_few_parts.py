"""No operator of a portable graph meets more tensors than a shader of WebGPU reaches."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from amused_edge.export.onnx.few_parts import MOST_PARTS, limit_parts
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.validation import DEFAULT_RECIPES
from tests.support.paths import ROOT
from tests.support.validated import Validated

FEW = MOST_PARTS + 1
"""Of inputs and outputs together."""


def too_many(path: Path) -> list[str]:
    return [
        f"{node.op_type} {node.name}"
        for node in ir.traversal.RecursiveGraphIterator(ir.load(path).graph)
        if len(node.inputs) + len(node.outputs) > FEW
    ]


def of_bundle(folder: Path) -> list[str]:
    bundle = Bundle.open(folder)
    return [found for graph in bundle.manifest.graphs.values() for found in too_many(bundle.file(graph.files[0]))]


@pytest.mark.parametrize("recipe", ["fp32", *DEFAULT_RECIPES])
def test_no_graph_has_more(recipe: str, validated: Validated) -> None:
    """Of a checkpoint that down- and upsamples, by each recipe; its layers' modulations are twelve."""
    assert of_bundle(validated.out / recipe) == []


def test_no_graph_of_the_demo_has_more(demo_bundle: Path) -> None:
    assert of_bundle(demo_bundle) == []
    assert of_bundle(ROOT / "demo" / "bundle") == []


@pytest.mark.parametrize("recipe", DEFAULT_RECIPES)
def test_the_decoder_looks_up_rows_in_float32(recipe: str, validated: Validated) -> None:
    """Not every GPU has halves."""
    folder = validated.out / recipe
    assert Bundle.open(folder).graph("image_decoder").tensors["code_table"].bits == 32
    graph = ir.load(folder / "image_decoder.onnx").graph
    table = graph.initializers["code_table"]
    assert table.dtype == ir.DataType.FLOAT
    assert [node.op_type for node in table.consumers()] == ["Gather"]


SIZES = [3, 1, 2, 1, 1, 4, 1, 2, 1, 1]


def model(count: int, axis: int) -> ir.Model:
    """x (2, 17, 17) split along an axis, and `count` slices of y joined."""
    names = [f"part_{i}" for i in range(len(SIZES))]
    pieces = [f"y_{i}" for i in range(count)]
    graph = helper.make_graph(
        [
            helper.make_node("Split", ["x", "sizes"], names, "split", axis=axis),
            helper.make_node("Concat", pieces, ["joined"], "concat", axis=axis),
        ],
        "parts",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [2, 17, 17]), *((piece, [2, 3, 3]) for piece in pieces))
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*names, "joined")],
        [numpy_helper.from_array(np.array(SIZES), "sizes")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("count", [7, 8, 49, 50, 57])
def test_parts_are_as_numpy_cuts_and_joins_them(count: int, axis: int) -> None:
    """Unequal parts; counts at which a tree gets a leaf of one or another level."""
    made = model(count, axis)
    limit_parts(made)
    onnx.checker.check_model(ir.to_proto(made), full_check=True)
    found = [node.op_type for node in made.graph]
    assert found.count("Slice") == len(SIZES)
    assert max(len(node.inputs) + len(node.outputs) for node in made.graph) <= FEW
    generator = np.random.default_rng(0)
    feeds: dict[str, np.ndarray[Any, Any]] = {
        value.name or "": generator.random([int(side) for side in value.shape or ()], np.float32)
        for value in made.graph.inputs
    }
    session = ort.InferenceSession(ir.to_proto(made).SerializeToString(), providers=["CPUExecutionProvider"])
    *parts, joined = session.run(None, feeds)
    for part, expected in zip(parts, np.split(feeds["x"], np.cumsum(SIZES)[:-1], axis), strict=True):
        np.testing.assert_array_equal(part, expected)
    np.testing.assert_array_equal(joined, np.concatenate([feeds[f"y_{i}"] for i in range(count)], axis))
