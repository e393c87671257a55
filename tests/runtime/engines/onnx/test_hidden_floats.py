"""Graphs that return whole numbers and are asked to look at the floats before: NaN is found, not drawn black."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.engines.onnx.floats import with_hidden_floats
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.pipeline import AmusedPipeline
from tests.support.poison import change_coreml, change_onnx, nan_first, renew_golden

CHECKED = EngineOptions(check_floats=True)
HALF = EngineOptions(simulate="half", check_floats=True)


@pytest.mark.parametrize("length", [1, 127, 128, 20000])
def test_a_model_with_further_outputs(length: int) -> None:
    """The onnx package reads what was appended as outputs, and checks the model."""
    floats = "f" * length
    nodes = [
        helper.make_node("Neg", ["x"], [floats]),
        helper.make_node("Clip", [floats, "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["pixels"], to=TensorProto.UINT8),
        helper.make_node("ArgMin", [floats], ["codes"]),
        helper.make_node("Clip", ["x", "low", "high"], ["of_an_input"]),
    ]
    numbers = [helper.make_tensor(name, TensorProto.FLOAT, [], [at]) for name, at in (("low", 0.0), ("high", 1.0))]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [
            helper.make_tensor_value_info("pixels", TensorProto.UINT8, [3]),
            helper.make_tensor_value_info("codes", TensorProto.INT64, [1]),
        ],
        numbers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    changed, names = with_hidden_floats(model.SerializeToString())
    assert names == [floats]
    read = onnx.load_from_string(changed)
    assert [output.name for output in read.graph.output] == ["pixels", "codes", floats]
    del read.graph.output[-1]
    assert read == model


@pytest.mark.parametrize("role", ["image_decoder", "image_encoder"])
def test_the_graphs_of_a_bundle_have_floats_to_show(demo_bundle: Path, role: str) -> None:
    assert len(with_hidden_floats((demo_bundle / f"{role}.onnx").read_bytes())[1]) == 1


def test_what_is_computed_stays_the_same(demo_bundle: Path) -> None:
    bundle = Bundle.open(demo_bundle)
    with AmusedPipeline(bundle, EngineOptions()) as plain, AmusedPipeline(bundle, CHECKED) as checked:
        grid = np.arange(256).reshape(1, 16, 16)
        picture = plain.decode(grid)
        assert np.abs(picture.astype(int) - checked.decode(grid)).max() <= 1
        assert np.array_equal(plain.encode(picture), checked.encode(picture))
        assert golden_check.compare(checked).reproduced


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("role", "name"), [("image_decoder", "decoder.conv_out.bias"), ("image_encoder", "quant_conv.bias")]
)
def test_values_that_are_not_finite(role: str, name: str, value: float, bundle_copy: Path) -> None:
    """The golden output of such a bundle is black, and was reproduced."""
    change_onnx(bundle_copy, role, name, lambda values: values.fill(value))
    inputs = {
        "image_decoder": {"tokens": np.zeros((2, 16, 16), np.int64)},
        "image_encoder": {"image": np.zeros((2, 64, 64, 3), np.uint8)},
    }[role]
    bundle = Bundle.open(bundle_copy)
    load_graph(bundle, role, EngineOptions())(inputs)
    with pytest.raises(GraphError, match=f"{role}: values that become whole numbers are not finite"):
        load_graph(bundle, role, CHECKED)(inputs)


def test_a_golden_picture_of_nan_is_not_reproduced(bundle_copy: Path) -> None:
    change_onnx(bundle_copy, "image_decoder", "decoder.conv_in.weight", nan_first)
    renew_golden(bundle_copy)
    with AmusedPipeline(Bundle.open(bundle_copy), EngineOptions()) as pipeline:
        assert golden_check.compare(pipeline).reproduced
    with (
        AmusedPipeline(Bundle.open(bundle_copy), CHECKED) as pipeline,
        pytest.raises(GraphError, match="image_decoder"),
    ):
        golden_check.compare(pipeline)


@pytest.mark.parametrize(
    ("role", "name"), [("image_decoder", "decoder_conv_out_weight"), ("image_encoder", "encoder_conv_out_weight")]
)
def test_the_evaluator_looks_too(role: str, name: str, tiny_coreml: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_coreml, tmp_path / "bundle"))
    change_coreml(folder, role, name, nan_first)
    bundle = Bundle.open(folder)
    inputs = {
        "image_decoder": {"tokens": np.zeros((1, 4, 6), np.int32)},
        "image_encoder": {"image": np.zeros((1, 8, 12, 3), np.uint8)},
    }[role]
    load_graph(Bundle.open(tiny_coreml), role, HALF)(inputs)
    load_graph(bundle, role, EngineOptions(simulate="half"))(inputs)
    with pytest.raises(GraphError, match=f"{role}: operation .* values that become whole numbers are not finite"):
        load_graph(bundle, role, HALF)(inputs)
