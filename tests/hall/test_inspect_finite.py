"""`amused-edge inspect --verify` finds a bundle that computes NaN, though its hashes and golden picture are right."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.runtime.engines import EngineOptions
from tests.poison import change_coreml, change_onnx, nan_first, renew_golden

COMMAND = str(Path(sys.executable).with_name("amused-edge"))


def inspect(bundle: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "inspect", str(bundle), "--verify", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def found(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 1, result.stderr
    assert "hashes      all right" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("amused-edge: image_decoder: ")
    assert "values that become whole numbers are not finite" in line


@pytest.mark.parametrize("name", ["decoder.conv_in.weight", "decoder.conv_out.bias"])
def test_of_an_onnx_bundle(bundle_copy: Path, name: str) -> None:
    """It said that the golden picture, black as stored, was reproduced."""
    change_onnx(bundle_copy, "image_decoder", name, nan_first)
    renew_golden(bundle_copy)
    found(inspect(bundle_copy))


def test_of_a_core_ml_bundle_by_the_evaluator(tiny_coreml: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_coreml, tmp_path / "bundle"))
    change_coreml(folder, "image_decoder", "decoder_conv_out_weight", nan_first)
    renew_golden(folder, EngineOptions(simulate="half"))
    found(inspect(folder, "--simulate", "half"))
