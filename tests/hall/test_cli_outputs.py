"""Where commands write to: what cannot be is found before any work, in one line, and nothing is written."""

import os
import runpy
import shutil
from pathlib import Path

import pytest

from amused_edge.cli import main
from amused_edge.runtime import AmusedPipeline
from amused_edge.runtime.bundle import verification

LONG = "x" * 300


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line with which a command ends as wrongly used, before it reads or draws anything."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(AmusedPipeline, "from_bundle", work)
    monkeypatch.setattr(verification, "verify_once", work)
    monkeypatch.setattr("sys.argv", ["amused-edge", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("amused-edge: ")
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with one of each that is in the way."""
    folder = tmp_path / "here"
    (folder / "taken").mkdir(parents=True)
    (folder / "file").touch()
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "state-link").symlink_to("nowhere")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", ".", "--count", "2"), "does not end in .png"),
        (("-o", "/", "--heatmap"), "does not end in .png"),
        (("-o", "", "--reveal"), "does not end in .png"),
        (("-o", "dangling.png"), "exists"),
        (("-o", f"{LONG}.png"), "File name too long"),
        (("-o", f"{'x' * 245}.png", "--heatmap"), "File name too long"),
        (("-o", f"{'x' * 250}.png", "--count", "2"), "File name too long"),
        (("-o", f"{'x' * 245}.png", "--preview-dir", "taken"), "File name too long"),
        (("-o", "file/a.png"), "is a file"),
        (("-o", "missing/a.png"), "does not exist"),
        (("-o", "a.png", "--preview-dir", "file"), "is a file"),
        (("-o", "a.png", "--preview-dir", "dangling"), "does not exist"),
        (("-o", "a.png", "--resume", "."), "is no file"),
        (("-o", "a.png", "--resume", "taken"), "is no file"),
        (("-o", "a.png", "--resume", "state-link"), "exists"),
        (("-o", "a.png", "--resume", LONG), "File name too long"),
        (("-o", "a.png", "--resume", "file/state"), "is a file"),
        (("--sheet", "dangling.png"), "exists"),
        (("--sheet", "."), "does not end in .png"),
        (("--sheet", f"{LONG}.png"), "File name too long"),
    ],
)
def test_generate(
    demo_bundle: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    """The first two ended in tracebacks, links to nothing and long names after the picture was drawn."""
    before = sorted(os.listdir(folder))
    assert words in refused(monkeypatch, capsys, "generate", demo_bundle, "a fox", *options)
    assert sorted(os.listdir(folder)) == before


PLACES = [
    (".", "is no name"),
    ("", "is no name"),
    ("/", "is no name"),
    ("..", "is no name"),
    ("taken/", "exists"),
    ("dangling", "exists"),
    (LONG, "File name too long"),
    (f"new/{LONG}", "File name too long"),
    ("file/new", "is a file"),
    ("dangling/new", "does not exist"),
    ("BUNDLE/new", "lies inside the bundle"),
    ("taken/../BUNDLE/new/deep", "lies inside the bundle"),
]


@pytest.mark.parametrize(("out", "words"), [*PLACES, ("x" * 250, "File name too long"), ("BUNDLE", "exists")])
@pytest.mark.parametrize("more", [(), ("--sensitivity",)])
def test_quantize(
    bundle_copy: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    words: str,
    more: tuple[str, ...],
) -> None:
    """Three ended in tracebacks; a bundle inside its parent was written. The account's name is longer than OUT's."""
    if more and out == "x" * 250:
        return
    place = out.replace("BUNDLE", os.path.relpath(bundle_copy))
    assert words in refused(monkeypatch, capsys, "quantize", bundle_copy, place, "--recipe", "w8", *more)


@pytest.mark.parametrize(("out", "words"), PLACES)
@pytest.mark.parametrize("command", ["export", "validate"])
def test_what_reads_a_checkpoint(
    demo_bundle: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    out: str,
    words: str,
) -> None:
    place = out.replace("BUNDLE", os.path.relpath(demo_bundle))
    assert words in refused(monkeypatch, capsys, command, "no-checkpoint", place)


def test_validate_looks_at_the_names_of_its_recipes_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It found after the export that no folder can have such a name."""
    rules = '[{"tensors": "*", "bits": 8}]'
    (folder / "recipe.json").write_text(f'{{"name": "{LONG}", "rules": {rules}}}')
    command = ("validate", "no-checkpoint", "out", "--recipe", "recipe.json")
    assert "File name too long" in refused(monkeypatch, capsys, *command)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("out", "words"), [place for place in PLACES if place[0] not in ("", ".", "..", "/", "taken/", "dangling")]
)
@pytest.mark.parametrize("command", ["latency", "quality", "compare"])
def test_bench(
    demo_bundle: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    out: str,
    words: str,
) -> None:
    place = out.replace("BUNDLE", os.path.relpath(demo_bundle))
    steps = ("--steps", "2,3") if command == "compare" else ()
    options = ("--out", place, "--quiet", *steps)
    assert words in refused(monkeypatch, capsys, "bench", command, demo_bundle, demo_bundle, *options)


def test_a_checkpoint_may_hold_its_bundle(
    demo_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As repositories of models do; reading them is not changed by it."""
    from amused_edge.export.checkpoint.checkpoint import open_checkpoint
    from amused_edge.runtime.bundle.places import check_free

    checkpoint = Path(shutil.copytree(demo_checkpoint, tmp_path / "checkpoint"))
    check_free(checkpoint / "onnx")
    (checkpoint / "onnx").mkdir()
    (checkpoint / "onnx" / "manifest.json").write_text("{}")
    assert open_checkpoint(checkpoint).uvit == open_checkpoint(demo_checkpoint).uvit


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_modules_that_are_run_by_themselves_check_first_and_say_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported what they need."""
    (tmp_path / "reveal.png").touch()
    (tmp_path / "taken").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    for module, arguments, words in (
        ("export.checkpoint.standin", ["amused-256", "."], "is no name"),
        ("export.checkpoint.standin", ["amused-256", "taken"], "exists"),
        ("benchmarks.scripts.side_by_side", ["taken/a.png", "no-bundle", "--prompt", "x"], "does not exist"),
        ("benchmarks.scripts.guide_pictures", ["no-bundle", "."], "reveal.png exists"),
        ("benchmarks.scripts.guide_clips", ["no-bundle", ".", "taken"], "does not end in .png"),
        ("benchmarks.scripts.mac_report", ["no-bundle", "missing/report.md"], "folder missing does not exist"),
        ("benchmarks.quality.instruments.lpips_model", ["no-archive", "taken"], "exists"),
    ):
        monkeypatch.setattr("sys.argv", [module, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(f"amused_edge.{module}", run_name="__main__")
        assert isinstance(ended.value.code, str)  # which Python prints, with exit code 1
        assert words in ended.value.code
        assert "\n" not in ended.value.code
        assert capsys.readouterr() == ("", "")
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"reveal.png", "taken"}
