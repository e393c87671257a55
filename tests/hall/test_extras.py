"""What a command says where the extra that it needs is not installed, or a library is broken."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from amused_edge.runtime.system.extras import ALWAYS, EXTRAS, advice
from tests.support.paths import ROOT

MODULES = {"pyyaml": "yaml", "pillow": "PIL", "coreai-core": "coreai"}
"""Package -> its module, where it is not called the same."""

# As if the modules were not installed, or fail as they are imported; the rest of the line is Python.
BLOCK = """
import json, sys
blocked, fault = json.loads(sys.argv.pop(1)), sys.argv.pop(1)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            exec(fault)

sys.meta_path.insert(0, Refuse())
"""
COMMAND = "from amused_edge.cli import main\nmain()"
NOT_INSTALLED = 'raise ModuleNotFoundError(f"No module named {name!r}", name=name)'

ALL = sorted({module for modules in EXTRAS.values() for module in modules})
LINE = "is not installed; install this package with its extra"


def run(code: str, blocked: list[str], *args: str | Path, fault: str = NOT_INSTALLED, cwd: Path) -> tuple[int, str]:
    """Run code without these modules; return the exit code and what it said."""
    command = [sys.executable, "-c", BLOCK + code, json.dumps(blocked), fault, *map(str, args)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def one_line(said: tuple[int, str], extras: str) -> None:
    code, text = said
    assert code == 1, text
    assert text.count("\n") == 1, text
    assert LINE in text
    assert f"pip install 'amused-edge[{extras}]'" in text


def test_the_table_is_that_of_the_package() -> None:
    """Otherwise the advice would not help. No command needs the extras of those who work on the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def modules(requirements: list[str]) -> set[str]:
        names = [re.split(r"[^\w-]", requirement)[0] for requirement in requirements]
        return {MODULES.get(name, name.replace("-", "_")) for name in names}

    extras = {
        name: modules(needs) for name, needs in project["optional-dependencies"].items() if name not in ("docs", "dev")
    }
    assert extras == {name: set(needs) for name, needs in EXTRAS.items()}
    assert modules(project["dependencies"]) == set(ALWAYS)


@pytest.mark.parametrize(
    ("extras", "command"),
    [
        ("export", "export C out"),
        ("export,coreml", "export C out --target coreml"),
        ("export,quantize", "validate C out"),
        ("lora", "lora B L out"),
        ("video", "video B x -o out.mp4"),
        ("quantize", "quantize B out --recipe w8"),
        ("quantize", "quantize B out --recipe w8 --sensitivity"),
        ("bench", "bench latency B --out out"),
        ("bench", "bench quality B B --out out"),
        ("bench", "bench quality B --judge J --out out"),
        ("bench,coreml", "bench quality B --simulate half --out out"),
        ("bench", "bench compare B --steps 1,2 --out out"),
        ("bench", "bench compare B --judge J --steps 1,2 --out out"),
        ("bench,cluster", "bench quality B B --ray --out out"),
        ("bench,cluster", "bench compare B --steps 1,2 --ray=local --out out"),
        ("cluster", "generate B x --ray=auto -o out.png"),
        ("serve", "serve B --api-only"),
        ("bench,serve", "bench device B --out out"),
    ],
)
def test_a_command_names_its_extras(
    demo_bundle: Path, demo_checkpoint: Path, tmp_path: Path, extras: str, command: str
) -> None:
    """Every one advised the extras export and quantize, unless the word bench was on its line."""
    places = {"B": demo_bundle, "C": demo_checkpoint, "J": ROOT / "demo" / "judge", "L": ROOT / "demo" / "lora"}
    args = [places.get(word, word) for word in command.split()]
    one_line(run(COMMAND, ALL, *args, cwd=tmp_path), extras)
    assert not list(tmp_path.glob("out*"))


def test_a_certificate_names_its_extra(tmp_path: Path) -> None:
    args = ["serve", ROOT / "demo" / "bundle", "--api-only", "--tls"]
    one_line(run(COMMAND, list(EXTRAS["tls"]), *args, cwd=tmp_path), "serve,tls")


def test_core_ml_names_its_extra(tiny_coreml: Path, tmp_path: Path) -> None:
    one_line(run(COMMAND, ALL, "inspect", tiny_coreml, "--lint", cwd=tmp_path), "coreml")
    others = [name for name in ALL if name not in EXTRAS["quantize"]]
    one_line(run(COMMAND, others, "quantize", tiny_coreml, "o", "--recipe", "w8", cwd=tmp_path), "quantize,coreml")
    for args in (["generate", tiny_coreml, "x", "-o", "x.png"], ["inspect", tiny_coreml, "--verify"]):
        code, text = run(COMMAND, ALL, *args, "--simulate", "half", cwd=tmp_path)
        assert (code, text.count("\n")) == (1, 1)
        assert "coremltools" in text
        assert "not installed" in text
        assert "pip install 'amused-edge[coreml]'" in text


def test_a_clip_of_transformers_names_the_extra_of_transformers(demo_bundle: Path, tmp_path: Path) -> None:
    """Its own, beside that of the command."""
    clip = tmp_path / "clip"
    clip.mkdir()
    (clip / "tokenizer.json").write_bytes((demo_bundle / "tokenizer.json").read_bytes())
    size = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"shortest_edge": 8}, "resample": 3}
    (clip / "preprocessor_config.json").write_text(json.dumps({**size, "crop_size": {"height": 8, "width": 8}}))
    others = [name for name in ALL if name not in EXTRAS["bench"]]
    said = run(COMMAND, others, "bench", "quality", demo_bundle, demo_bundle, "--clip", clip, cwd=tmp_path)
    one_line(said, "bench,export")


def test_the_word_bench_in_a_prompt_is_no_command(demo_bundle: Path, tmp_path: Path) -> None:
    args = ["quantize", demo_bundle, "bench", "--recipe", "w8"]
    one_line(run(COMMAND, ALL, *args, cwd=tmp_path), "quantize")


def test_what_needs_no_extra_needs_none(demo_bundle: Path, tmp_path: Path) -> None:
    plan = ["generate", demo_bundle, "a bench", "--plan", "4"]
    for args in (["inspect", demo_bundle], [*plan[:3], "--steps", "1"], plan, ["cache"], ["--help"]):
        assert run(COMMAND, ALL, *args, cwd=tmp_path) == (0, "")


@pytest.mark.parametrize(
    ("extras", "module", "args"),
    [
        ("export", "amused_edge.export.checkpoint.standin", ["amused-256", "out"]),
        ("quantize", "amused_edge.benchmarks.execution.required_operators", ["B"]),
        ("bench", "amused_edge.benchmarks.quality.instruments.lpips_model", ["x.tar.gz", "out"]),
    ],
)
def test_a_module_that_is_run_names_its_extra(
    demo_bundle: Path, tmp_path: Path, extras: str, module: str, args: list[str]
) -> None:
    """They ended in a traceback."""
    code = f"import runpy\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    one_line(run(code, ALL, *(demo_bundle if arg == "B" else arg for arg in args), cwd=tmp_path), extras)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise ImportError('libx.so.1: cannot open shared object file', name=name)", "onnx_ir is broken or too old"),
        ("raise ImportError('libx.so.1: cannot open shared object file')", "libx.so.1"),
        ("raise OSError('libx.so.1: cannot open shared object file')", "libx.so.1"),
        ("raise ImportError(\"cannot import name 'x' from 'onnx_ir'\", name='onnx_ir')", "cannot import name 'x'"),
        ("raise ModuleNotFoundError('No module named onnx_ir.x', name='onnx_ir.x')", "onnx_ir.x"),
        ("import numpy; numpy.no_such_name", "numpy is broken or too old: module 'numpy' has no attribute"),
        ("import numpy; numpy.ndarray.no_such_name", "numpy is broken or too old: type object"),
    ],
)
def test_a_broken_library_is_one_line(demo_bundle: Path, tmp_path: Path, fault: str, words: str) -> None:
    """A part that is missing came without advice, an old version that lacks a name as a traceback."""
    args = ["quantize", demo_bundle, "out", "--recipe", "w8"]
    code, text = run(COMMAND, ["onnx_ir"], *args, fault=fault, cwd=tmp_path)
    assert (code, text.count("\n")) == (1, 1), text
    assert words in text
    assert "pip install --upgrade --force-reinstall 'amused-edge[quantize]'" in text
    code, text = run(COMMAND, ["onnx_ir"], "--debug", *args, fault=fault, cwd=tmp_path)
    assert code == 1
    assert "Traceback" in text


@pytest.mark.parametrize("module", ["click", "cloup", "numpy", "PIL"])
def test_a_package_without_what_it_always_needs(tmp_path: Path, module: str) -> None:
    """The command line itself cannot be imported."""
    code, text = run(COMMAND, [module], "inspect", "x", cwd=tmp_path)
    assert (code, text.count("\n")) == (1, 1), text
    assert text.startswith(f"amused-edge: No module named '{module}")


def test_debug_in_a_prompt_is_no_option(tmp_path: Path) -> None:
    """It was looked for in all words, and a prompt brought the traceback."""
    code, text = run(COMMAND, ["click"], "generate", "b", "--", "--debug", cwd=tmp_path)
    assert (code, text.count("\n")) == (1, 1), text
    code, text = run(COMMAND, ["click"], "--debug", "generate", "b", "x", cwd=tmp_path)
    assert code == 1
    assert "Traceback" in text


def test_a_mistake_of_ours_is_none_of_a_library() -> None:
    """Its traceback is needed."""
    for mistake in (lambda: None.x, lambda: ROOT.x, lambda: advice.x, lambda: "".x):  # type: ignore[attr-defined]
        with pytest.raises(AttributeError) as caught:
            mistake()
        assert advice(caught.value) is None
    assert advice(OSError(2, "No such file or directory", "x.so")) is None
    assert advice(ValueError("x")) is None
