"""The command `quantize`: exit codes, one-line errors, files."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.bundle.folder import Bundle
from tests.support.command import fails
from tests.support.command import run as start
from tests.support.in_process import Run
from tests.support.paths import COMMAND
from tests.support.validated import Validated

FEW = ("--calibration-prompts", "1", "--fidelity-prompts", "1")

SMALL = {"name": "small", "rules": [{"tensors": "denoiser/mlm_layer.*", "operator": "matmul", "bits": 4, "block": 32}]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a recipe and prompts."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "small.json").write_text(json.dumps(SMALL), encoding="utf-8")
    (folder / "prompts.txt").write_text("a fox\n\na panda\n", encoding="utf-8")
    return folder


def made(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} - {"small.json", "prompts.txt"}


def test_a_named_recipe(validated: Validated, place: Path) -> None:
    result = start("quantize", validated.bundle, "w8a8", "--recipe", "w8a8", *FEW, cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # no progress bar where there is no terminal
    assert made(place) == {"w8a8", "w8a8.account.json", "w8a8.account.md"}
    manifest = Bundle.open(place / "w8a8").manifest
    assert manifest.quantization is not None
    assert manifest.quantization.recipe["calibration"]["prompts"] == 1
    size = sum(path.stat().st_size for path in (place / "w8a8").iterdir() if path.name != "manifest.json")
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"w8a8: {size / 1e6:.1f} MB; against its parent: mean KL ")
    assert f"{manifest.quantization.logits.equal_draws:.2%} of draws equal" in line


def test_a_recipe_file_and_prompts_in_silence(validated: Validated, place: Path, run: Run) -> None:
    options = ("--recipe", "small.json", "--prompts", "prompts.txt", "--fidelity-prompts", "9", "--quiet")
    result = run("quantize", validated.bundle, "out", *options, cwd=place)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    quantization = Bundle.open(place / "out").manifest.quantization
    assert quantization is not None
    assert quantization.recipe == SMALL
    assert quantization.logits.generations == 2  # there are only two prompts


def test_what_it_makes_can_be_used(validated: Validated, place: Path, run: Run) -> None:
    bundle = validated.out / "w8"
    result = run("inspect", bundle, "--verify", cwd=place)
    assert result.returncode == 0, result.stderr
    assert "recipe      'w8', of the bundle " in result.stdout
    assert run("generate", bundle, "a fox", "-o", "x.png", cwd=place).returncode == 0
    assert made(place) == {"x.png"}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--recipe", "w3"], 2, ["there is no recipe 'w3'", "w8a8-blocks"]),
        (["--recipe", "nowhere.json"], 2, ["cannot read the recipe nowhere.json"]),
        (["--recipe", "prompts.txt"], 2, ["there is no recipe 'prompts.txt'", "FILE.json"]),
        (["--recipe", "w8", "--prompts", "nowhere.txt"], 2, ["cannot read the prompts nowhere.txt"]),
        (["--recipe", "w8", "--fidelity-prompts", "0"], 2, ["fidelity_prompts is 0"]),
        (["--recipe", "w8a8", "--calibration-prompts", "0"], 2, ["calibration_prompts is 0"]),
        (["--recipe", "w8", "--sensitivity", "--max-kl", "0"], 2, ["max-kl is 0"]),
        (["--recipe", "w8", "--sensitivity", "--max-kl", "1", "--budget", "1"], 2, ["not both"]),
        (["--recipe", "small.json", "--sensitivity", "--budget", "0.01"], 1, ["more than the budget of 0.01 MB"]),
        (["--recipe", "small.json", "--sensitivity", "--max-kl", "1e-15"], 1, ["1e-15 nats is not reached"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    validated: Validated, place: Path, options: list[str], code: int, words: list[str], run: Run
) -> None:
    fails(run("quantize", validated.bundle, "out", *options, cwd=place), code, *words)
    assert made(place) == set()


@pytest.mark.parametrize(
    "options", [[], ["--recipe", "w8", "--max-kl", "1"], ["--recipe", "w8", "--budget", "1"], ["--recipe"]]
)
def test_wrong_usage(validated: Validated, place: Path, options: list[str], run: Run) -> None:
    result = run("quantize", validated.bundle, "out", *options, cwd=place)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert made(place) == set()


def test_what_cannot_be_quantized(validated: Validated, place: Path, run: Run) -> None:
    quantized = validated.out / "w8"
    fails(run("quantize", quantized, "out", "--recipe", "w8", cwd=place), 1, "is quantized already (recipe 'w8')")
    fails(run("quantize", quantized, "out", "--recipe", "w8", "--sensitivity", cwd=place), 1, "is quantized already")
    fails(run("quantize", place, "out", "--recipe", "w8", cwd=place), 1, "is not a bundle")
    assert made(place) == set()


def test_a_place_that_is_taken(validated: Validated, place: Path, run: Run) -> None:
    (place / "out").mkdir()
    fails(run("quantize", validated.bundle, "out", "--recipe", "w8", cwd=place), 2, "out exists")
    fails(run("quantize", validated.bundle, "out", "--recipe", "w8", "--sensitivity", cwd=place), 2, "out exists")
    (place / "new.account.md").write_text("mine")
    fails(run("quantize", validated.bundle, "new", "--recipe", "w8", cwd=place), 2, "new.account.md exists")
    assert made(place) == {"out", "new.account.md"}


def test_sensitivity(validated: Validated, place: Path) -> None:
    result = start("quantize", validated.bundle, "table", "--recipe", "small.json", "--sensitivity", *FEW, cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout == "table: 2 weights measured\n"
    assert made(place) == {"table"}
    names = {path.name for path in (place / "table").iterdir()}
    assert names == {"sensitivity.json", "sensitivity.md", "sensitivity.png"}


def test_a_mixed_recipe_is_written_and_can_be_used(validated: Validated, place: Path, run: Run) -> None:
    options = ("--recipe", "small.json", "--sensitivity", "--max-kl", "1e-6", *FEW)
    result = run("quantize", validated.bundle, "table", *options, cwd=place)
    assert result.returncode == 0, result.stderr
    file = Path("table") / "recipe.json"
    assert result.stdout.startswith(f"table: 2 weights measured; {file}: mean KL ")
    mixed = Recipe.from_dict(json.loads((place / file).read_text(encoding="utf-8")))
    assert mixed.name == "small-mixed"
    assert len(mixed.rules) > 1
    quantized = run("quantize", validated.bundle, "out", "--recipe", file, *FEW, cwd=place)
    assert quantized.returncode == 0, quantized.stderr
    manifest = Bundle.open(place / "out").manifest
    assert manifest.quantization is not None
    assert manifest.quantization.logits.mean_kl <= 1.01e-6


def test_a_budget(validated: Validated, place: Path, run: Run) -> None:
    options = ("--recipe", "small.json", "--sensitivity", "--budget", "100", "--quiet", *FEW)
    result = run("quantize", validated.bundle, "table", *options, cwd=place)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    content = json.loads((place / "table" / "recipe.json").read_text(encoding="utf-8"))
    assert [rule["bits"] for rule in content["rules"]] == [16, 16, 4]  # room for the top of the ladder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_nothing(validated: Validated, place: Path, number: signal.Signals, code: int) -> None:
    command = [str(COMMAND), "quantize", str(validated.bundle), "out", "--recipe", "w8", "--fidelity-prompts", "64"]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not any(place.glob(".out.partial-*/*.onnx")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert out == b""
    assert b"Traceback" not in err
    assert made(place) == set()
