"""Bundles with `sampler.onnx`: what says so, what carries it along, and an app that has nothing of ours."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from amused_edge.cli.program import commands
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.runtime import AmusedPipeline, GenerationOptions
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError
from tests.support.paths import ROOT
from tests.support.tiny_export import TinyExport


@pytest.fixture(scope="module")
def listing() -> str:
    """The program on the page."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sampler.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "amused_edge" not in code
    return str(code)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seed", [7, 2**64 - 1])
def test_the_pages_program_draws_what_the_runtime_draws(
    listing: str, tiny_export: TinyExport, tmp_path: Path, seed: int
) -> None:
    result = run(listing, str(tiny_export.bundle.path), "a fox", str(seed), str(tmp_path / "made.npz"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    with AmusedPipeline.from_bundle(tiny_export.bundle.path) as pipeline:
        expected = pipeline.generate("a fox", GenerationOptions(seed=seed))
    made = np.load(tmp_path / "made.npz")
    np.testing.assert_array_equal(made["tokens"], expected.tokens[0])
    np.testing.assert_array_equal(made["image"], expected.images[0])


def test_the_pages_program_needs_the_graph(listing: str, tmp_path: Path) -> None:
    bundle = str(ROOT / "demo" / "bundle")
    result = run(listing, bundle, "a fox", "0", str(tmp_path / "made.npz"))
    assert result.returncode == 1
    assert result.stderr == f"{bundle} has no sampler.onnx; export it with --with-sampler\n"
    assert list(tmp_path.iterdir()) == []


def test_inspect_names_it_and_a_quantized_bundle_has_it(tiny_export: TinyExport, tmp_path: Path) -> None:
    options = QuantizeOptions(("a fox",), fidelity_prompts=1)
    made = quantize_bundle(tiny_export.bundle.path, tmp_path / "w8", "w8", options)
    assert made.manifest.files["sampler.onnx"] == tiny_export.bundle.manifest.files["sampler.onnx"]
    verification.verify(made)
    for bundle, shown in ((made.path, True), (ROOT / "demo" / "bundle", False)):
        result = CliRunner().invoke(commands, ["inspect", str(bundle)])
        assert result.exit_code == 0
        assert any(line.startswith("sampler ") for line in result.stdout.splitlines()) == shown


def test_a_bundle_whose_graph_is_lost_is_refused(tiny_export: TinyExport, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_export.bundle.path, tmp_path / "copy")
    (copy / "sampler.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks the file sampler\.onnx; copy it again"):
        Bundle.open(copy)


def test_core_ml_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, ["export", "c", "out", "--target", "coreml", "--with-sampler"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == "Error: --with-sampler goes with --target onnx"
    assert list(tmp_path.iterdir()) == []
