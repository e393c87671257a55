"""The command line with Core ML bundles: exit codes, one-line errors, and that everything is called simulated.

Most is run in this process: importing coremltools takes seconds.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.benchmarks.execution.neural_engine import LIMITS
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from tests.support.command import run
from tests.support.in_process import Cli, one_line, usage

WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


@pytest.fixture
def copy(tiny_coreml: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return Path(shutil.copytree(tiny_coreml, tmp_path / "copy"))


# --- export


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ios", "17"], "--ios goes with --target coreml"),
        (["--precision", "float32"], "--precision goes with --target coreml or coreai"),
        (["--target", "onnx", "--ios", "18"], "--ios goes with --target coreml"),
        (["--target", "coreai", "--ios", "18"], "--ios goes with --target coreml"),
        (["--target", "onnx", "--precision", "float16"], "--precision goes with --target coreml or coreai"),
    ],
)
def test_options_of_core_ml_without_core_ml(cli: Cli, demo_checkpoint: Path, options: list[str], words: str) -> None:
    usage(cli("export", demo_checkpoint, "out", *options), words)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ios", "15"], ["'--ios': '15'", "'16', '17', '18'"]),
        (["--precision", "int8"], ["'--precision': 'int8'", "'float16', 'float32'"]),
    ],
)
def test_values_that_core_ml_has_not(cli: Cli, demo_checkpoint: Path, options: list[str], words: list[str]) -> None:
    usage(cli("export", demo_checkpoint, "out", "--target", "coreml", *options), *words)
    assert list(Path().iterdir()) == []


def test_the_choices_of_core_ml_are_those_of_its_export() -> None:
    """The command names them itself, for the export imports torch."""
    from amused_edge.cli.export import PRECISIONS, SYSTEMS
    from amused_edge.export import precision
    from amused_edge.export.coreml import write

    assert tuple(write.SYSTEMS) == SYSTEMS
    assert precision.PRECISIONS == PRECISIONS


def test_wrong_usage_of_export(cli: Cli, demo_checkpoint: Path) -> None:
    usage(cli("export", demo_checkpoint, "out", "--target", "tflite"), "tflite", "onnx", "coreml")
    coreml = ("export", demo_checkpoint, "out", "--target", "coreml")
    usage(cli(*coreml, "--optimize", "cpu"), "--optimize goes with --target onnx")
    usage(cli("export", demo_checkpoint, "out", "--target", "coreml", "--ios", "new"), "--ios")
    assert list(Path().iterdir()) == []


def test_without_coremltools_the_extra_is_named(
    cli: Cli, demo_checkpoint: Path, tiny_coreml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "coreml" in name or "engines.mil" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "coremltools", None)  # as if it were not installed
    for extras, *command in (
        ("export,coreml", "export", demo_checkpoint, "out", "--target", "coreml"),
        ("coreml", "generate", tiny_coreml, "a fox", "--simulate", "half"),
        ("quantize,coreml", "quantize", tiny_coreml, "out", "--recipe", "w8"),
    ):
        one_line(cli(*command), 1, "coremltools", "not installed", f"amused-edge[{extras}]")
    assert list(Path().iterdir()) == []


# --- generate


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac runs it")
def test_generate_needs_a_mac_or_the_evaluator(cli: Cli, tiny_coreml: Path) -> None:
    one_line(cli("generate", tiny_coreml, "a fox"), 1, "runs on Apple's systems only", "simulate", "half", "float")
    one_line(cli("generate", tiny_coreml, "a fox", "-o", "x.png"), 1, "runs on Apple's systems only")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("mode", ["half", "float"])
def test_generate_with_the_evaluator_equals_the_python_api(cli: Cli, tiny_coreml: Path, mode: str) -> None:
    from amused_edge import AmusedPipeline, GenerationOptions
    from amused_edge.runtime import EngineOptions

    result = cli("generate", tiny_coreml, "a fox", "--seed", "4", "-o", "x.png", "--simulate", mode)
    assert (result.code, result.out) == (0, "x.png\n"), result
    with AmusedPipeline.from_bundle(tiny_coreml, EngineOptions(simulate=mode)) as pipeline:  # type: ignore[arg-type]
        expected = pipeline.generate("a fox", GenerationOptions(seed=4)).images[0]
    with Image.open("x.png") as picture:
        assert np.array_equal(np.asarray(picture), expected)


def test_the_evaluator_is_for_core_ml(cli: Cli, demo_bundle: Path, tiny_coreml: Path) -> None:
    one_line(cli("generate", demo_bundle, "a fox", "--simulate", "half"), 2, "is for ONNX", "Core ML bundles")
    usage(cli("generate", tiny_coreml, "a fox", "--simulate", "fp16"), "half", "float")
    assert list(Path().iterdir()) == []


def test_generate_as_a_command_is_quiet_about_coremltools(tiny_coreml: Path, tmp_path: Path) -> None:
    """Its import warns of Apple's frameworks and of torch's version; none of that is for users."""
    result = run("generate", tiny_coreml, "a fox", "-o", "x.png", "--simulate", "half", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "x.png\n", "")


# --- inspect


def test_inspect_says_simulated(cli: Cli, tiny_coreml: Path) -> None:
    result = cli("inspect", tiny_coreml)
    assert result.code == 0, result
    lines = result.out.splitlines()
    assert "for 'coreml'" in lines[0]
    assert "engine      coreml iOS 17, oldest tried none" in lines
    assert any(line.startswith("simulated   by a NumPy evaluator") and "not run by coreml" in line for line in lines)
    assert sum(line.startswith("simulated   ") for line in lines) == 1 + len(ROLES) + 1
    assert lines[-1].startswith("simulated   1 generation: mean KL ")
    assert not [line for line in lines if line.startswith(("parity", "fidelity"))]


def test_inspect_says_simulated_of_a_quantized_bundle(cli: Cli, tiny_coreml_w8: Path) -> None:
    lines = cli("inspect", tiny_coreml_w8).out.splitlines()
    assert any(line.startswith("recipe      'w8', of the bundle ") for line in lines)
    assert sum(line.startswith("simulated   ") for line in lines) == 2
    assert not [line for line in lines if line.startswith(("parity", "fidelity"))]


def test_inspect_verifies_with_the_evaluator(cli: Cli, tiny_coreml: Path) -> None:
    result = cli("inspect", tiny_coreml, "--verify", "--simulate", "half")
    assert result.code == 0, result
    assert "hashes      all right" in result.out
    assert "golden      ids equal, logits within 0.0e+00, 100.00% of tokens equal, pixels within 0" in result.out


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac runs it")
def test_inspect_verifies_hashes_before_it_needs_a_mac(cli: Cli, tiny_coreml: Path) -> None:
    result = cli("inspect", tiny_coreml, "--verify")
    assert result.code == 1
    assert "hashes      all right" in result.out
    assert "runs on Apple's systems only" in result.err.splitlines()[-1]
    assert result.err.count("\n") == 1


def test_lint_prints_a_table_per_role(cli: Cli, tiny_coreml: Path) -> None:
    result = cli("inspect", tiny_coreml, "--lint")
    assert result.code == 0, result
    for role, section in zip(ROLES, result.out.split("\n## ")[1:], strict=True):
        lines = section.splitlines()
        assert lines[0] == role
        assert [line.split("|")[1].strip() for line in lines if line.startswith("|")][2:] == [r.name for r in LIMITS]


def test_lint_is_for_core_ml(cli: Cli, demo_bundle: Path) -> None:
    result = cli("inspect", demo_bundle, "--lint")
    assert result.code == 2
    assert "--lint is for Core ML bundles" in result.err
    assert "is for 'onnx'" in result.err


# --- What is damaged.


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", [f"denoiser.mlpackage/{WEIGHTS}", "image_decoder.mlpackage/Manifest.json"])
def test_a_flipped_byte_is_found(cli: Cli, copy: Path, name: str) -> None:
    flip(copy / name)
    assert cli("inspect", copy).code == 0  # opening is cheap and does not read weights
    result = cli("inspect", copy, "--verify", "--simulate", "half")
    assert result.code == 1
    assert result.err.startswith(f"amused-edge: {copy / name} is damaged")
    one_line(cli("generate", copy, "a fox", "--simulate", "half"), 1, f"{copy / name} is damaged", "copy the bundle")
    one_line(cli("quantize", copy, "out", "--recipe", "w8"), 1, "copy the bundle")
    assert list(Path().iterdir()) == []


def test_a_truncated_file_is_found_at_once(cli: Cli, copy: Path) -> None:
    file = copy / "denoiser.mlpackage" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1])
    for command in (["inspect", copy], ["generate", copy, "a fox"], ["quantize", copy, "out", "--recipe", "w8"]):
        one_line(cli(*command), 1, "truncated or changed", "copy the bundle again")


def test_a_package_that_no_longer_says_what_its_manifest_does(cli: Cli, copy: Path) -> None:
    """Somebody replaced the model and made the hashes agree: no traceback, whatever is in it."""
    from amused_edge.runtime.bundle.verification import sha256

    file = copy / "text_encoder.mlpackage/Data/com.apple.CoreML/model.mlmodel"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["graphs"]["text_encoder"]["files"]:
        entry |= {"bytes": (copy / entry["path"]).stat().st_size, "sha256": sha256(copy / entry["path"])}
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for command in (["generate", copy, "a fox", "--simulate", "half"], ["quantize", copy, "out", "--recipe", "w8"]):
        one_line(cli(*command), 1, "is no Core ML package that can be read", "copy the bundle again")
    assert cli("inspect", copy, "--lint").code == 1


# --- quantize


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("w8a8", ["recipe 'w8a8' is not for Core ML", "takes a Mac", "w8, w8-lut, w6, w4"]),
        ("fp16", ["recipe 'fp16' is not for Core ML", "exported in halves"]),
        ("w2", ["there is no recipe 'w2'", "w8-lut"]),
    ],
)
def test_recipes_that_core_ml_has_not(cli: Cli, tiny_coreml: Path, recipe: str, words: list[str]) -> None:
    one_line(cli("quantize", tiny_coreml, "out", "--recipe", recipe), 2, *words)
    assert list(Path().iterdir()) == []


def test_quantize_says_simulated_and_makes_a_bundle_that_verifies(cli: Cli, tiny_coreml: Path) -> None:
    rules = [{"tensors": "text_encoder/*", "operator": "table", "bits": 8}]
    Path("small.json").write_text(json.dumps({"name": "small", "rules": rules}), encoding="utf-8")
    result = cli("quantize", tiny_coreml, "out", "--recipe", "small.json", "--fidelity-prompts", "1")
    assert result.code == 0, result
    (line,) = result.out.splitlines()
    assert "; against its parent, simulated: mean KL " in line
    assert Bundle.open("out").graph("text_encoder").bytes < Bundle.open(tiny_coreml).graph("text_encoder").bytes
    result = cli("inspect", "out", "--verify", "--simulate", "half")
    assert (result.code, result.err) == (0, ""), result
    assert "golden      ids equal, logits within 0.0e+00, 100.00% of tokens equal, pixels within 0" in result.out
    one_line(cli("quantize", "out", "again", "--recipe", "w8"), 1, "is quantized already")
