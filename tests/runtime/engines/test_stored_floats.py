"""Every float that a bundle's graphs store is looked at; what tensors there are, the onnx package says too."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx.external_data import ExternalData, tensors
from amused_edge.runtime.engines.stored_floats import check_stored_floats
from amused_edge.runtime.errors import BundleError
from tests.support.poison import change_coreml, change_onnx, nan_first


def test_tensors_of_every_kind() -> None:
    """Raw bytes, lists of floats and doubles, whole numbers, and a constant in an attribute."""
    values = np.array([1.5, np.nan, -np.inf], np.float32)
    made: list[Any] = [
        numpy_helper.from_array(values, "raw"),
        numpy_helper.from_array(values.astype(np.float16), "halves"),
        helper.make_tensor("list", TensorProto.FLOAT, [3], values),
        helper.make_tensor("doubles", TensorProto.DOUBLE, [3], values),
        numpy_helper.from_array(np.arange(3), "whole"),
        helper.make_tensor("listed whole", TensorProto.INT32, [3], [1, 2, 3]),
    ]
    constant = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(values, "constant"))
    graph = helper.make_graph([constant], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])], made)
    found = {tensor.name: tensor for tensor in tensors(helper.make_model(graph).SerializeToString())}
    assert {name: tensor.data_type for name, tensor in found.items()} == {
        **{tensor.name: tensor.data_type for tensor in made},
        "constant": TensorProto.FLOAT,
    }
    for name, dtype in (("raw", "<f4"), ("halves", "<f2"), ("list", "<f4"), ("doubles", "<f8"), ("constant", "<f4")):
        held = found[name].values
        assert isinstance(held, memoryview)
        np.testing.assert_array_equal(np.frombuffer(held, dtype), values.astype(dtype))
    assert found["listed whole"].values is None


def test_the_tensors_of_a_bundle_are_those_of_the_onnx_package(demo_bundle: Path) -> None:
    """Were one left out, nothing would say so."""
    for path in sorted(demo_bundle.glob("*.onnx")):
        expected = {tensor.name for tensor in onnx.load(path, load_external_data=False).graph.initializer}
        found = {tensor.name: tensor.values for tensor in tensors(path.read_bytes())}
        assert expected <= found.keys()
        assert any(isinstance(values, ExternalData) for values in found.values())


def test_a_whole_bundle_passes(demo_bundle: Path, tiny_coreml: Path) -> None:
    check_stored_floats(Bundle.open(demo_bundle))
    check_stored_floats(Bundle.open(tiny_coreml))


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("denoiser", "transformer_layers.0.attn2.to_q.weight", np.nan),
        ("text_encoder", "text_model.embeddings.token_embedding.weight", -np.inf),
        ("image_decoder", "code_table", np.inf),
        ("image_decoder", "decoder.conv_out.bias", np.nan),
        ("image_encoder", "quantize.embedding.weight", np.nan),
    ],
)
def test_one_value_of_a_bundle(role: str, name: str, value: float, bundle_copy: Path) -> None:
    """Large ones lie in a file of their own, small ones in the model."""
    change_onnx(bundle_copy, role, name, lambda values: values.reshape(-1)[-1:].fill(value))
    with pytest.raises(BundleError, match=rf"{role}/{name} has values that are not finite \(NaN or infinity\); repair"):
        check_stored_floats(Bundle.open(bundle_copy))


def test_one_value_of_a_core_ml_bundle(tiny_coreml: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_coreml, tmp_path / "bundle"))
    change_coreml(folder, "text_encoder", "text_model_embeddings_token_embedding_weight", nan_first)
    with pytest.raises(BundleError, match="text_encoder/text_model_embeddings_token_embedding_weight has values"):
        check_stored_floats(Bundle.open(folder))


def test_a_graph_cut_short(bundle_copy: Path) -> None:
    model = bundle_copy / "image_decoder.onnx"
    bundle = Bundle.open(bundle_copy)
    model.write_bytes(model.read_bytes()[:-5])
    with pytest.raises(BundleError, match="the graph of image_decoder is damaged"):
        check_stored_floats(bundle)
