"""Graphs whose weights lie in files of several names: stores and backups keep equal files once."""

import shutil
from pathlib import Path

import numpy as np

from amused_edge.quantization.onnx.load import load_model
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
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
