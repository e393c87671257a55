"""The plug-in for optimum's command line: with a stub of it here, with optimum itself in `make optimum`."""

import importlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from amused_edge.cli import main
from tests.support.checkpoints import write_checkpoint
from tests.support.in_process import Cli, Result
from tests.support.paths import ROOT

PLUGIN = ROOT / "apps" / "optimum"
STUB = ROOT / "tests" / "support" / "optimum_stub"
ENVIRONMENT = os.environ.get("OPTIMUM_ENVIRONMENT")
"""Where optimum and the plug-in are installed."""

PYTHON = str(Path(ENVIRONMENT) / "bin" / "python") if ENVIRONMENT else sys.executable
PATHS = {} if ENVIRONMENT else {"PYTHONPATH": os.pathsep.join(map(str, (STUB, PLUGIN)))}
COMMAND = "from optimum.commands.optimum_cli import main; main()"
"""As the script `optimum-cli`."""

needs_optimum = pytest.mark.skipif(not ENVIRONMENT, reason="needs optimum, in an environment of its own: make optimum")


def started(*args: str, flags: tuple[str, ...] = ()) -> Result:
    """Run `optimum-cli` in a process of its own."""
    command = [PYTHON, *flags, "-c", COMMAND, *args]
    result = subprocess.run(command, env=os.environ | PATHS, capture_output=True, text=True, check=False)
    return Result(result.returncode, result.stdout, result.stderr)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return `own(*words)`: `amused-edge` in this process, in an empty folder."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "100")  # help is as wide as the terminal
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*words: str | Path, program: Callable[[], None] = main) -> Result:
        monkeypatch.setattr(sys, "argv", ["amused-edge", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            program()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def optimum(own: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return `optimum(*words)`: `optimum-cli`, or the stub of it in this process, in the same folder."""
    if ENVIRONMENT:
        return lambda *words: started(*map(str, words))
    for path in (PLUGIN, STUB):
        monkeypatch.syspath_prepend(path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "optimum"]:
        monkeypatch.delitem(sys.modules, name)
    program = importlib.import_module("optimum.commands.optimum_cli").main
    return lambda *words: own(*words, program=program)


def test_it_is_listed_and_loads_nothing_heavy(own: Cli) -> None:
    result = started("export", "--help", flags=("-X", "importtime"))
    assert result.code == 0, result.err
    assert "amused-edge" in result.out
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.err.splitlines()}
    assert "optimum" in loaded
    assert not loaded & {"torch", "onnxruntime", "amused_edge", "click"}


def test_the_group_lists_its_commands(optimum: Cli) -> None:
    result = optimum("amused-edge", "--help")
    assert result.code == 0, result.err
    assert all(name in result.out for name in ("validate", "bench", "generate"))


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
def test_words_errors_and_exit_codes_are_ours(optimum: Cli, own: Cli, words: tuple[str, ...]) -> None:
    assert optimum("amused-edge", *words) == own(*words)
    assert list(Path().iterdir()) == []


def test_a_picture_is_ours(optimum: Cli, own: Cli) -> None:
    words = ("generate", ROOT / "demo" / "bundle", "a panda ü", "--steps", "1", "--seed", "3", "-o")
    assert optimum("amused-edge", *words, "theirs.png") == (0, "theirs.png\n", "")
    assert own(*words, "ours.png").code == 0
    assert Path("theirs.png").read_bytes() == Path("ours.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("out",), "error: the following arguments are required: -m/--model"),
        (("-m", "folder", "out", "--trust-remote-code"), "no code is run; leave it out"),
        (("--model=folder", "out", "--task", "fill-mask"), "--task fill-mask is none that aMUSEd has"),
        (("-m", "folder", "--target", "tflite", "out"), "'tflite' is not one of 'onnx', 'coreml', 'coreai'"),
        (("-m", "folder", "--task", "text-to-image", "out", "--prompts", "x"), "go with --recipe"),
        (("--task", "inpainting", "--model", "folder", ".."), "'..' is no name"),
        (("-m", "folder", "out", "--weight-format", "int8"), "No such option '--weight-format'"),
    ],
)
def test_what_an_export_refuses(optimum: Cli, words: tuple[str, ...], said: str) -> None:
    result = optimum("export", "amused-edge", *words)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "Traceback" not in result.err
    assert list(Path().iterdir()) == []


def test_help_of_the_export_has_both_halves(optimum: Cli, own: Cli) -> None:
    result = optimum("export", "amused-edge", "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("usage: optimum-cli export amused-edge -m MODEL [--task TASK] [OPTIONS] OUT\n")
    assert own("export", "--help").out in result.out


def test_the_package_is_one_file_of_a_shared_folder() -> None:
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert all(project["project"][name] == ours[name] for name in ("version", "license", "requires-python"))
    assert f"amused-edge[export,quantize]>={ours['version']},<0.2" in project["project"]["dependencies"]
    (folder,) = project["tool"]["setuptools"]["packages"]
    sources = [path.relative_to(PLUGIN) for path in (PLUGIN / "optimum").rglob("*.py")]
    assert sources == [Path(*folder.split("."), "register_amused_edge.py")]


@needs_optimum
def test_what_is_installed_is_that_file() -> None:
    code = "import importlib.metadata as m, json; print(json.dumps([str(f) for f in m.files('optimum-amused-edge')]))"
    listed = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout
    files = [name for name in json.loads(listed) if ".dist-info" not in name and "__pycache__" not in name]
    assert files == ["optimum/commands/register/register_amused_edge.py"]


@needs_optimum
def test_export_and_quantize_with_optimum(optimum: Cli) -> None:
    write_checkpoint(Path("tiny"), uvit={"downsample": True, "upsample": True})
    options = ("--recipe", "w8", "--steps", "2", "--fidelity-prompts", "1")
    result = optimum("export", "amused-edge", "-m", "tiny", "made/w8", "--task", "auto", *options)
    assert result.code == 0, result.err
    assert result.out.startswith("made/w8: ")
    assert {path.name for path in Path("made").iterdir()} == {"w8", "w8.account.json", "w8.account.md"}
    drawn = optimum("amused-edge", "generate", "made/w8", "a fox", "-o", "fox.png")
    assert drawn.code == 0, drawn.err
    assert Path("fox.png").is_file()
