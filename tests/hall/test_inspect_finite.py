"""`inspect --verify` finds a bundle that holds or computes NaN, though its hashes and golden picture are right."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amused_edge.runtime.engines import EngineOptions
from tests.support.poison import change_coreml, change_onnx, nan_first, renew_golden

COMMAND = str(Path(sys.executable).with_name("amused-edge"))


def inspect(bundle: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "inspect", str(bundle), "--verify", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def found(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert result.returncode == 1, result.stderr
    assert "hashes      all right" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("amused-edge: ")
    assert words in line


@pytest.mark.parametrize("name", ["decoder.conv_in.weight", "decoder.conv_out.bias"])
def test_a_weight_of_an_onnx_bundle(bundle_copy: Path, name: str) -> None:
    """It said that the golden picture, black as stored, was reproduced."""
    change_onnx(bundle_copy, "image_decoder", name, nan_first)
    renew_golden(bundle_copy)
    found(inspect(bundle_copy), f"image_decoder/{name} has values that are not finite (NaN or infinity); repair")


def test_a_code_that_the_golden_picture_does_not_have(bundle_copy: Path) -> None:
    """No run of the golden input can show it."""
    tokens = json.loads((bundle_copy / "golden.json").read_text())["tokens"]
    code = next(code for code in range(256) if code not in tokens)
    change_onnx(bundle_copy, "image_decoder", "code_table", lambda values: values[code].fill(np.inf))
    found(inspect(bundle_copy), "image_decoder/code_table has values that are not finite")


def test_finite_weights_that_overflow(bundle_copy: Path) -> None:
    """Every pixel was white, or black, as stored."""
    change_onnx(bundle_copy, "image_decoder", "decoder.conv_out.weight", lambda values: values.fill(3e38))
    renew_golden(bundle_copy)
    found(inspect(bundle_copy), "image_decoder: values that become whole numbers are not finite")


def test_a_core_ml_bundle_by_the_evaluator(tiny_coreml: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_coreml, tmp_path / "bundle"))
    change_coreml(folder, "image_decoder", "decoder_conv_out_weight", nan_first)
    renew_golden(folder, EngineOptions(simulate="half"))
    found(inspect(folder, "--simulate", "half"), "image_decoder/decoder_conv_out_weight has values that are not finite")
