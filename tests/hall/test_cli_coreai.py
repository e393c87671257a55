"""The command line with Core AI bundles: exit codes and one-line errors. Most is run in this process."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.engines.coreai import process
from tests.support.command import run
from tests.support.coreai import needs_coreai
from tests.support.in_process import Cli, one_line, usage

pytestmark = needs_coreai


@pytest.fixture
def copy(tiny_coreai: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return Path(shutil.copytree(tiny_coreai, tmp_path / "copy"))


# --- export


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "int8"], ["'--precision': 'int8'", "'float16', 'float32'"]),
        (["--ios", "18"], ["--ios goes with --target coreml"]),
        (["--optimize", "cpu"], ["--optimize goes with --target onnx"]),
        (["--row-cache"], ["--row-cache goes with --target onnx"]),
    ],
)
def test_options_that_core_ai_has_not(cli: Cli, demo_checkpoint: Path, options: list[str], words: list[str]) -> None:
    usage(cli("export", demo_checkpoint, "out", "--target", "coreai", *options), *words)
    assert list(Path().iterdir()) == []


def test_a_target_that_is_not_there(cli: Cli, demo_checkpoint: Path) -> None:
    usage(cli("export", demo_checkpoint, "out", "--target", "core-ai"), "core-ai", "onnx", "coreml", "coreai")


def test_without_the_converter_the_extra_is_named(
    cli: Cli, demo_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "export.coreai" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "coreai_torch", None)  # as if it were not installed
    result = cli("export", demo_checkpoint, "out", "--target", "coreai")
    one_line(result, 1, "coreai_torch", "not installed", "amused-edge[export,coreai]")
    assert list(Path().iterdir()) == []


# --- generate, inspect


def test_generate_equals_the_python_api_and_is_quiet(tiny_coreai: Path, tmp_path: Path) -> None:
    """Core AI's runtime writes to the terminal what it loads."""
    from amused_edge import AmusedPipeline, GenerationOptions

    result = run("generate", tiny_coreai, "a fox", "--seed", "4", "-o", "x.png", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "x.png\n", "")
    with AmusedPipeline.from_bundle(tiny_coreai) as pipeline:
        expected = pipeline.generate("a fox", GenerationOptions(seed=4)).images[0]
    with Image.open(tmp_path / "x.png") as picture:
        assert np.array_equal(np.asarray(picture), expected)


def test_inspect_says_parity_and_verifies(cli: Cli, tiny_coreai: Path) -> None:
    result = cli("inspect", tiny_coreai, "--verify")
    assert (result.code, result.err) == (0, ""), result
    lines = result.out.splitlines()
    assert "for 'coreai'" in lines[0]
    assert any(line.startswith("engine      coreai 1.") for line in lines)
    assert sum(line.startswith("parity      ") for line in lines) == len(ROLES) + 1
    assert not [line for line in lines if line.startswith("simulated")]
    assert lines[-2:] == [
        "hashes      all right",
        "golden      ids equal, logits within 0.0e+00, 100.00% of tokens equal, pixels within 0",
    ]


def test_the_evaluator_and_the_lint_are_for_core_ml(cli: Cli, tiny_coreai: Path) -> None:
    one_line(cli("generate", tiny_coreai, "a fox", "--simulate", "half"), 2, "is for Core AI", "Core ML bundles")
    result = cli("inspect", tiny_coreai, "--lint")
    assert (result.code, "is for 'coreai'" in result.err) == (2, True), result


# --- What is damaged, or not there.


def test_a_flipped_byte_is_found(cli: Cli, copy: Path) -> None:
    program = copy / "denoiser.aimodel" / "main.mlirb"
    content = bytearray(program.read_bytes())
    content[len(content) // 2] ^= 1
    program.write_bytes(content)
    result = cli("inspect", copy, "--verify")
    assert result.code == 1
    assert result.err.startswith(f"amused-edge: {program} is damaged")
    one_line(cli("generate", copy, "a fox"), 1, f"{program} is damaged", "copy the bundle")
    assert list(Path().iterdir()) == []


def test_a_missing_file_and_a_newer_manifest(cli: Cli, copy: Path) -> None:
    text = (copy / "manifest.json").read_text(encoding="utf-8")
    (copy / "manifest.json").write_text(json.dumps({**json.loads(text), "schema_version": 9}), encoding="utf-8")
    one_line(cli("generate", copy, "a fox"), 1, "schema version 9", "upgrade amused-edge")
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    (copy / "denoiser.aimodel" / "main.hash").unlink()
    one_line(cli("generate", copy, "a fox"), 1, "lacks the file denoiser.aimodel/main.hash", "copy it again")


def test_a_system_without_the_runtime(cli: Cli, tiny_coreai: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    result = cli("generate", tiny_coreai, "a fox")
    one_line(result, 1, "coreai-core, which is not installed", "amused-edge[coreai]", "Linux on x86-64")
    assert list(Path().iterdir()) == []
