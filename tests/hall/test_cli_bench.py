"""The command `bench`: exit codes, one-line errors, files."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.support.command import fails
from tests.support.device_results import device_results
from tests.support.files import read_json
from tests.support.in_process import Run
from tests.support.latency_run import BUNDLE, LatencyRun
from tests.support.paths import ROOT
from tests.support.validated import Validated


@pytest.fixture
def place(tmp_path: Path, demo_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: prompts, a link to the demo bundle, things that are something else."""
    folder = tmp_path / "place"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "notes.txt").write_text("mine")
    (folder / "prompts.txt").write_text("a fox\na panda\n", encoding="utf-8")
    (folder / "empty.txt").write_text("\n  \n", encoding="utf-8")
    (folder / "demo").symlink_to(demo_bundle)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def command(place: Path, run: Run) -> Run:
    """Return `command("bench", ...)`: in this process, from that folder."""
    return partial(run, cwd=place)


def left(place: Path) -> set[str]:
    """What a command made."""
    return {path.name for path in place.iterdir()} - {"mine", "prompts.txt", "empty.txt", "demo"}


# --- What it makes.


@pytest.mark.slow
def test_latency_of_a_bundle_beside_itself(latency_run: LatencyRun) -> None:
    files = {"settings.json", "records.jsonl", "results.json", "report.md", "report.html", "pictures.svg"}
    out = latency_run.out
    assert {path.name for path in out.iterdir()} - {"memory.svg"} == files  # not every system tells memory apart
    found = read_json(out / "results.json")
    label = f"{BUNDLE} (2)"
    assert found["failures"] == []
    (ratio,) = [t["ratio"] for t in found["timings"] if (t["label"], t["part"]) == (label, "picture")]
    assert ratio["low"] == ratio["estimate"] == ratio["high"] > 0
    parts = {t["part"] for t in found["timings"] if t["label"] == label}
    stages = {"text_encoder", "conditioner", "denoiser", "sampler", "image_decoder"}
    assert parts == {"ready", "load", "first picture", "picture", *stages}
    for audit in found["audits"][label].values():
        assert sum(audit["shares"].values()) == pytest.approx(1.0)
    assert set(found["audits"][label]["denoiser"]["shares_of_products"]) == {"float32"}


def test_quality_of_a_bundle_beside_itself(place: Path, run: Run) -> None:
    few = ("--prompts", "prompts.txt", "--steps", "1", "--out", "out", "--quiet")
    result = run("bench", "quality", "demo", "demo", *few, cwd=place)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    files = {path.name for path in (place / "out").iterdir()}
    assert files >= {"settings.json", "records.jsonl", "results.json", "report.md", "report.html"}
    assert files >= {"pictures", "pictures.csv", "pictures.png"}
    figures = {figure["metric"]: figure["value"] for figure in read_json(place / "out" / "results.json")["figures"]}
    assert figures["mean_kl"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}


# --- What is wrong with what was asked: one line, and nothing is left behind.


@pytest.mark.parametrize("kind", ["latency", "quality"])
@pytest.mark.parametrize(
    ("bundle", "options", "code", "words"),
    [
        ("mine", [], 1, ["mine", "is not a bundle"]),
        ("nowhere", [], 1, ["nowhere"]),
        ("demo", ["--steps", "0"], 2, ["steps is 0"]),
        ("demo", ["--guidance", "-1"], 2, ["guidance_scale is -1"]),
        ("demo", ["--guidance", "nan"], 2, ["guidance_scale is nan"]),
        ("demo", ["--seed", "-1"], 2, ["seed is -1"]),
        ("demo", ["--out", "mine"], 2, ["mine exists and holds no benchmark run"]),
        ("demo", ["--out", "prompts.txt"], 2, ["prompts.txt exists and holds no benchmark run"]),
    ],
)
def test_bad_input(
    kind: str, bundle: str, options: list[str], code: int, words: list[str], place: Path, command: Run
) -> None:
    fails(command("bench", kind, "demo", bundle, *options), code, *words)
    assert left(place) == set()
    assert (place / "prompts.txt").read_text() == "a fox\na panda\n"
    assert [path.name for path in (place / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "0"], ["rounds is 0"]),
        (["--pictures", "0"], ["pictures is 0"]),
        (["--calls", "0"], ["calls is 0"]),
        (["--threads", "2,0"], ["threads is 0"]),
        (["--batch", "0"], ["batch is 0"]),
    ],
)
def test_latency_that_makes_no_sense(options: list[str], words: list[str], place: Path, command: Run) -> None:
    fails(command("bench", "latency", "demo", *options), 2, *words)
    assert left(place) == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--prompts", "empty.txt"], ["empty.txt holds no prompt"]),
        (["--prompts", "nowhere.txt"], ["cannot read the prompts nowhere.txt"]),
        (["--prompts", "prompts.txt", "--count", "3"], ["3 prompts were asked for; there are 2"]),
        (["--count", "0"], ["count is 0"]),
        (["--judge", "mine"], ["mine holds no judge"]),
        (["--judge", str(ROOT / "demo" / "judge"), "--prompts", "prompts.txt"], ["no true picture of 2 of 2 prompts"]),
        (["--embedder", "prompts.txt"], ["cannot load the embedder prompts.txt"]),
        (["--lpips", "nowhere.onnx"], ["cannot load the LPIPS model nowhere.onnx"]),
        (["--real", "mine"], ["give an embedder"]),
        (["--clip", "mine"], ["mine"]),
    ],
)
def test_quality_that_makes_no_sense(options: list[str], words: list[str], place: Path, command: Run) -> None:
    fails(command("bench", "quality", "demo", "demo", "--steps", "1", *options), 2, *words)
    assert left(place) == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--search", "-1"], ["search is -1.0; it must be between 0 and"]),
        (["--search", "1", "--prompts", "prompts.txt"], ["a search got 2 prompts; give 16 or more"]),
        (["--search", "1", "--entropy-bound", "0,-2"], ["entropy_bound is -2"]),
        (["--search", "1", "demo"], ["--search takes one BUNDLE", "2 were given"]),
        (["--order", "halton"], ["--order goes with --search"]),
        (["--entropy-bound", "4"], ["--entropy-bound goes with --search"]),
        (["--row-cache", "4"], ["--row-cache goes with --search"]),
        (["--search", "1", "--row-cache", "0,4"], ["demo has none; export it with --row-cache"]),
    ],
)
def test_a_search_that_makes_no_sense(options: list[str], words: list[str], place: Path, command: Run) -> None:
    result = command("bench", "compare", "demo", "--steps", "1", *options)
    assert result.returncode == 2
    assert all(word in result.stderr.splitlines()[-1] for word in words), result.stderr
    assert left(place) == set()


def test_quality_without_the_reference(place: Path, command: Run) -> None:
    fails(command("bench", "quality", "demo", "--reference", "nowhere"), 1, "nowhere")
    assert left(place) == set()


@pytest.mark.parametrize(
    "options",
    [
        *[["latency"], ["quality"], ["nothing"]],
        *[["latency", "demo", *more] for more in (["--steps", "4,x"], ["--guidance", "1,,2"], ["--threads", "1.5"])],
        *[["quality", "demo", *more] for more in (["--steps", "4,8"], ["--count", "x"], ["--simulate", "all"])],
    ],
)
def test_wrong_usage(options: list[str], place: Path, command: Run) -> None:
    result = command("bench", *options)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    if "4,x" in options:
        assert "'4,x' is not a whole number" in last
    assert left(place) == set()


def embedder(file: Path, shape: list[int | str]) -> None:
    """An ONNX file that gives the mean over everything but rows, from floats of some shape."""
    axes = list(range(2, len(shape)))
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x", "axes"], ["features"], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape[:2])],
        [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)],
    )
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), file)


def test_an_embedder_with_the_wrong_input(place: Path, command: Run) -> None:
    embedder(place / "mine" / "wide.onnx", ["batch", 7, "height", "width"])
    file = Path("mine") / "wide.onnx"
    words = ("takes 'x' of type tensor(float)", "must take pictures")
    fails(command("bench", "quality", "demo", "--embedder", file), 2, str(file), *words)
    assert left(place) == set()


def test_real_pictures_that_are_none(place: Path, command: Run) -> None:
    embedder(place / "mine" / "right.onnx", ["batch", 3, "height", "width"])
    file = Path("mine") / "right.onnx"
    fails(command("bench", "quality", "demo", "--embedder", file, "--real", "mine"), 2, "mine holds 0 pictures")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(place / "mine" / "a.png")
    (place / "mine" / "b.png").write_text("no picture")
    fails(command("bench", "quality", "demo", "--embedder", file, "--real", "mine"), 2, "b.png cannot be read")
    assert left(place) == set()


def test_bundles_with_other_grids(validated: Validated, place: Path, command: Run) -> None:
    words = (f"{validated.bundle.name} has ", "64 x 64 pixels from 16 x 16 tokens of 256 codes", "token by token")
    fails(command("bench", "quality", "demo", validated.bundle), 2, *words)
    assert left(place) == set()


@pytest.mark.parametrize("kind", ["latency", "quality"])
def test_the_folder_of_another_run(kind: str, place: Path, command: Run) -> None:
    """Runs with other settings, and complete ones, are left alone."""
    out = place / "mine"
    (out / "settings.json").write_text(json.dumps({"command": "another"}))
    fails(command("bench", kind, "demo", "--out", "mine"), 2, "holds a run with other settings", "command differs")
    (out / "results.json").write_text("{}")
    fails(command("bench", kind, "demo", "--out", "mine"), 2, "holds a complete run")
    assert (out / "results.json").read_text() == "{}"
    assert {path.name for path in out.iterdir()} == {"notes.txt", "settings.json", "results.json"}


def test_a_damaged_bundle_is_named_before_anything_is_measured(demo_bundle: Path, place: Path, command: Run) -> None:
    bad = shutil.copytree(demo_bundle, place / "mine" / "bad")
    weights = bad / "denoiser.onnx.data"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    fails(command("bench", "latency", "demo", bad), 1, "denoiser.onnx.data", "is damaged")
    assert left(place) == set()


# --- Results of devices.


def test_import_shows_devices_and_refuses_what_is_no_result(place: Path, command: Run) -> None:
    (place / "phone.json").write_text(json.dumps(device_results()))
    done = command("bench", "import", "phone.json", "phone.json", "both")
    assert (done.returncode, done.stdout, done.stderr) == (0, "both/report.html\n", "")
    assert "Phone (2): w8" in (place / "both" / "report.md").read_text(encoding="utf-8")
    fails(command("bench", "import", "phone.json", "both"), 2, "both holds a complete run")
    fails(command("bench", "import", "prompts.txt", "other"), 2, "prompts.txt is not JSON")
    assert left(place) == {"phone.json", "both"}
