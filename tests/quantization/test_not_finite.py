"""NaN in a bundle, or made by too few bits, where only whole numbers come out: parent and child were equal."""

import shutil
from pathlib import Path

import pytest

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError, GraphError
from tests.support.poison import change_coreml, change_onnx, nan_first

ONE = QuantizeOptions(["a fox"], calibration_prompts=1, fidelity_prompts=1)


@pytest.mark.parametrize(
    ("role", "name"),
    [("image_decoder", "decoder.conv_out.bias"), ("image_encoder", "encoder.conv_norm_out.weight")],
)
def test_what_no_recipe_changes_is_looked_at(tiny_bundle: Bundle, tmp_path: Path, role: str, name: str) -> None:
    """Only weights that get fewer bits were."""
    source = Path(shutil.copytree(tiny_bundle.path, tmp_path / "damaged"))
    change_onnx(source, role, name, nan_first)
    with pytest.raises(BundleError, match=rf"{role}/{name} has values that are not finite.*repair the checkpoint"):
        quantize_bundle(source, tmp_path / "out", "w8", ONE)
    assert not (tmp_path / "out").exists()


def test_a_core_ml_bundle(tiny_coreml: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_coreml, tmp_path / "damaged"))
    change_coreml(source, "image_decoder", "decoder_conv_out_weight", nan_first)
    keep = Recipe("mine", (Rule("denoiser/*", bits=8),))
    with pytest.raises(BundleError, match="image_decoder/decoder_conv_out_weight has values that are not finite"):
        quantize_bundle(source, tmp_path / "out", keep, ONE)


def test_an_encoder_that_overflows_in_halves(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The account said that few codes are equal, and the bundle was made: its encoder computes NaN for any picture."""
    source = Path(shutil.copytree(tiny_bundle.path, tmp_path / "parent"))
    change_onnx(source, "image_encoder", "encoder.conv_in.weight", lambda values: values.fill(4e4))
    halves = Recipe("halves", (Rule("image_encoder/*", bits=16, activations="half"),))
    with pytest.raises(GraphError, match=r"image_encoder: values that become whole numbers .* their precision is too"):
        quantize_bundle(source, tmp_path / "out", halves, ONE)
    assert not (tmp_path / "out").exists()


def test_a_graph_that_the_engine_does_not_know_in_halves(tiny_bundle: Bundle, tmp_path: Path) -> None:
    """The engine's own exception came through, with a traceback."""
    halves = Recipe("halves", (Rule("image_decoder/*", bits=16, activations="half"),))
    with pytest.raises(QuantizationError, match=r"onnxruntime .* cannot load the new image_decoder .* 'half'"):
        quantize_bundle(tiny_bundle.path, tmp_path / "out", halves, ONE)
    assert not (tmp_path / "out").exists()
