"""Where the weights of a graph may lie: in its files, also those of several names, as stores keep equal files once."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from amused_edge.quantization.onnx.load import load_model
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError
from tests.support.validated import Validated

SOME = Recipe("some", (Rule("conditioner/*", operator="matmul", bits=4, block=32, symmetric=True),))


def hard_links(bundle: Path, folder: Path) -> Path:
    return shutil.copytree(bundle, folder, copy_function=lambda source, target: Path(target).hardlink_to(source))


def test_hard_links_hold_the_same_weights_and_are_quantized(validated: Validated, tmp_path: Path) -> None:
    """onnx_ir takes a file of two names for an attack, and the command ended in its traceback."""
    plain = shutil.copytree(validated.bundle, tmp_path / "plain")
    linked = hard_links(plain, tmp_path / "linked")
    assert all(file.stat().st_nlink == 2 for file in linked.glob("*.data"))
    weights = [load_model(Bundle.open(path), "denoiser").graph.initializers for path in (validated.bundle, linked)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert value.const_value is not None
        other = weights[1][name].const_value
        assert other is not None
        np.testing.assert_array_equal(value.const_value.numpy(), other.numpy())
    made = quantize_bundle(linked, tmp_path / "made", SOME, QuantizeOptions(("a fox",), 1, 1))
    verification.verify(Bundle.open(made.path))
    assert all(file.stat().st_nlink == 1 for file in made.path.iterdir())


def test_weights_in_a_file_that_is_not_the_graphs_are_refused(validated: Validated, tmp_path: Path) -> None:
    """Else what lies there would be quantized into a bundle that its user may publish."""
    bundle, elsewhere = shutil.copytree(validated.bundle, tmp_path / "bundle"), "../secret-of-users"
    file = bundle / "denoiser.onnx"
    model = file.read_bytes()
    assert len(elsewhere) == len("denoiser.onnx.data")  # the model is as long as before
    file.write_bytes(model.replace(b"denoiser.onnx.data", elsewhere.encode()))
    shutil.copy(bundle / "denoiser.onnx.data", tmp_path / "secret-of-users")
    with pytest.raises(
        BundleError, match=r"reads weights from '\.\./secret-of-users', which the manifest does not list"
    ):
        load_model(Bundle.open(bundle), "denoiser")
