"""The plug-in for optimum's command line: with a stub of it here, with optimum itself in `make optimum`."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.checkpoints import write_checkpoint
from tests.support.command import run
from tests.support.paths import ROOT

PLUGIN = ROOT / "apps" / "optimum"
STUB = ROOT / "tests" / "support" / "optimum_stub"
ENVIRONMENT = os.environ.get("OPTIMUM_ENVIRONMENT")
"""Where optimum and the plug-in are installed."""

if ENVIRONMENT:
    PYTHON, PATHS = str(Path(ENVIRONMENT) / "bin" / "python"), []
else:
    PYTHON, PATHS = sys.executable, [str(STUB), str(PLUGIN)]
OPTIMUM_CLI = "from optimum.commands.optimum_cli import main; main()"
"""As the script of that name."""

needs_optimum = pytest.mark.skipif(not ENVIRONMENT, reason="needs optimum, in an environment of its own: make optimum")


@pytest.fixture(autouse=True)
def one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of help, which is else cut as the terminal is wide."""
    monkeypatch.setenv("COLUMNS", "100")


def optimum(*args: str | Path, cwd: Path, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, *flags, "-c", OPTIMUM_CLI, *map(str, args)]
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(PATHS)} if PATHS else {})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_is_listed_and_loads_nothing_heavy(tmp_path: Path) -> None:
    result = optimum("export", "--help", cwd=tmp_path, flags=("-X", "importtime"))
    assert result.returncode == 0, result.stderr
    assert "amused-edge" in result.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "optimum" in loaded
    assert not loaded & {"torch", "numpy", "onnxruntime", "amused_edge", "click"}


def test_the_group_lists_its_commands(tmp_path: Path) -> None:
    result = optimum("amused-edge", "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(name in result.stdout for name in ("validate", "bench", "generate"))


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--help"),
        ("generate", "no-bundle", "--steps=2", "--", "-1, a fox"),
        ("generate", "no-bundle", "x", "--fit", "cubic"),
        ("bench", "latency", "--rounds"),
        ("validate", "-h"),
    ],
    ids=" ".join,
)
def test_words_errors_and_exit_codes_are_ours(tmp_path: Path, words: tuple[str, ...]) -> None:
    handed, own = optimum("amused-edge", *words, cwd=tmp_path), run(*words, cwd=tmp_path)
    assert (handed.returncode, handed.stdout, handed.stderr) == (own.returncode, own.stdout, own.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_ours(tmp_path: Path) -> None:
    words = ("generate", ROOT / "demo" / "bundle", "a panda ü", "--steps", "1", "--seed", "3", "-o")
    handed, own = optimum("amused-edge", *words, "theirs.png", cwd=tmp_path), run(*words, "ours.png", cwd=tmp_path)
    assert (handed.returncode, handed.stdout) == (0, "theirs.png\n"), handed.stderr
    assert own.returncode == 0
    assert (tmp_path / "theirs.png").read_bytes() == (tmp_path / "ours.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out",), "error: the following arguments are required: -m/--model"),
        (("-m", "folder", "out", "--trust-remote-code"), "no code is run; leave it out"),
        (("--model=folder", "out", "--task", "fill-mask"), "--task fill-mask is none that aMUSEd has"),
        (("-m", "folder", "--target", "tflite", "out"), "'tflite' is not one of 'onnx', 'coreml', 'coreai'"),
        (("-m", "folder", "--task", "text-to-image", "out", "--prompts", "x"), "go with --recipe"),
        (("--task", "inpainting", "--model", "folder", "."), ". exists; choose another folder"),
        (("-m", "folder", "out", "--weight-format", "int8"), "No such option: --weight-format"),
    ],
)
def test_what_an_export_refuses(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = optimum("export", "amused-edge", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_of_the_export_has_both_halves(tmp_path: Path) -> None:
    result = optimum("export", "amused-edge", "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: optimum-cli export amused-edge -m MODEL [--task TASK] [OPTIONS] OUT\n")
    assert run("export", "--help", cwd=tmp_path).stdout in result.stdout


def test_the_package_is_one_file_of_a_shared_folder() -> None:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(project["project"][name] == ours[name] for name in ("version", "license", "requires-python"))
    assert f"amused-edge[export,quantize]>={ours['version']},<0.2" in project["project"]["dependencies"]
    (folder,) = project["tool"]["setuptools"]["packages"]
    sources = [path.relative_to(PLUGIN) for path in (PLUGIN / "optimum").rglob("*.py")]
    assert sources == [Path(*folder.split("."), "register_amused_edge.py")]


@needs_optimum
def test_what_is_installed_is_that_file(tmp_path: Path) -> None:
    code = "import importlib.metadata as m, json; print(json.dumps([str(f) for f in m.files('optimum-amused-edge')]))"
    listed = subprocess.run([PYTHON, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    files = [name for name in json.loads(listed) if ".dist-info" not in name and "__pycache__" not in name]
    assert files == ["optimum/commands/register/register_amused_edge.py"]


@needs_optimum
def test_export_and_quantize_with_optimum(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "tiny", uvit={"downsample": True, "upsample": True})
    options = ("--recipe", "w8", "--steps", "2", "--fidelity-prompts", "1")
    result = optimum("export", "amused-edge", "-m", "tiny", "made/w8", "--task", "auto", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("made/w8: ")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"w8", "w8.account.json", "w8.account.md"}
    drawn = optimum("amused-edge", "generate", "made/w8", "a fox", "-o", "fox.png", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "fox.png").is_file()
