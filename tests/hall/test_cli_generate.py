"""`generate` with pictures, watching, going on after an interruption, and drawing a picture again."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import AmusedPipeline, GenerationOptions, PictureState
from tests.support.command import fails
from tests.support.command import run as start
from tests.support.in_process import Run

PROMPT = "a flat icon of a fox on a blue background"
QUICK = ("--steps", "3", "--seed", "3")


@pytest.fixture(scope="module")
def drawn(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, fox.png, and masks for it."""
    folder = tmp_path_factory.mktemp("drawn")
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as pipeline:
        Image.fromarray(pipeline.generate(PROMPT, GenerationOptions(3, 3)).images[0]).save(folder / "fox.png")
    mask = np.zeros((64, 64), np.uint8)
    Image.fromarray(mask).save(folder / "black.png")
    mask[:, 32:] = 255
    Image.fromarray(mask).save(folder / "half.png")
    Image.fromarray(mask[:32]).save(folder / "small.png")
    return folder


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


def draws(result: subprocess.CompletedProcess[str], *files: str) -> None:
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == list(files)


def test_a_picture_says_how_it_was_drawn_and_is_drawn_again(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    options = (
        "--count",
        "2",
        "--negative",
        "blue",
        "--guidance",
        "2",
        "--guidance-ramp",
        "cosine",
        "--order",
        "halton",
        "--entropy-bound",
        "60",
    )
    draws(
        run("generate", demo_bundle, "ein Fuchs 🦊", *QUICK, *options, "-o", "a.png", cwd=tmp_path),
        "a-0.png",
        "a-1.png",
    )
    shown = run("inspect", "a-1.png", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    parameters = json.loads(shown.stdout)
    assert parameters["task"]["prompt"] == "ein Fuchs 🦊"
    assert (parameters["task"]["picture"], parameters["seed"], parameters["settings"]["order"]) == (1, 3, "halton")
    assert (parameters["version"], parameters["settings"]["entropy_bound"]) == (3, 60)
    draws(run("generate", demo_bundle, "--like", "a-1.png", "-o", "b.png", cwd=tmp_path), "b.png")
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a-1.png").read_bytes()
    draws(run("generate", demo_bundle, "--like", "a-1.png", "--seed", "4", "-o", "c.png", cwd=tmp_path), "c.png")
    assert not np.array_equal(pixels(tmp_path / "c.png"), pixels(tmp_path / "a-1.png"))
    for ignored in (("--count", "2"), ("--negative", "red"), ("--strength", "0.5")):
        result = run("generate", demo_bundle, "--like", "a-1.png", *ignored, "-o", "d.png", cwd=tmp_path)
        assert result.returncode == 2
        assert f"{ignored[0]} does not go with --like" in result.stderr


def test_another_bundle_draws_it_with_a_note(demo_bundle: Path, bundle_copy: Path, tmp_path: Path, run: Run) -> None:
    draws(run("generate", demo_bundle, PROMPT, *QUICK, "-o", "a.png", cwd=tmp_path), "a.png")
    manifest = bundle_copy / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    result = run("generate", bundle_copy, "--like", "a.png", "-o", "b.png", cwd=tmp_path)
    draws(result, "b.png")
    assert "note: a.png was drawn by another bundle" in result.stderr


def test_inpainting_and_its_repetition(demo_bundle: Path, drawn: Path, tmp_path: Path, run: Run) -> None:
    given = ("--image", drawn / "fox.png", "--mask", drawn / "half.png")
    draws(
        run("generate", demo_bundle, "a panda", *QUICK, *given, "--feather", "4", "-o", "p.png", cwd=tmp_path), "p.png"
    )
    picture, fox = pixels(tmp_path / "p.png"), pixels(drawn / "fox.png")
    assert np.array_equal(picture[:, :32], fox[:, :32])
    assert not np.array_equal(picture, fox)
    draws(run("generate", demo_bundle, "--like", "p.png", *given, "-o", "q.png", cwd=tmp_path), "q.png")
    assert (tmp_path / "p.png").read_bytes() == (tmp_path / "q.png").read_bytes()
    fails(run("generate", demo_bundle, "--like", "p.png", *given[:2], "-o", "r.png", cwd=tmp_path), 2, "needs its mask")
    wrong = ("--image", drawn / "fox.png", "--mask", drawn / "black.png")
    fails(run("generate", demo_bundle, "--like", "p.png", *wrong, "-o", "r.png", cwd=tmp_path), 2, "mask_sha256")


@pytest.mark.parametrize("given", [("--strength", "0.7"), ("--outpaint", "16,8,48,56")], ids=["vary", "outpaint"])
def test_variation_and_outpainting_and_their_repetition(
    given: tuple[str, ...], demo_bundle: Path, drawn: Path, tmp_path: Path, run: Run
) -> None:
    fox = ("--image", drawn / "fox.png")
    draws(run("generate", demo_bundle, PROMPT, *QUICK, *fox, *given, "-o", "v.png", cwd=tmp_path), "v.png")
    again = (*fox, *given) if given[0] == "--outpaint" else fox
    draws(run("generate", demo_bundle, "--like", "v.png", *again, "-o", "w.png", cwd=tmp_path), "w.png")
    assert (tmp_path / "v.png").read_bytes() == (tmp_path / "w.png").read_bytes()
    assert not np.array_equal(pixels(tmp_path / "v.png"), pixels(drawn / "fox.png"))
    fails(run("generate", demo_bundle, "--like", "v.png", "-o", "x.png", cwd=tmp_path), 2, "needs its image")


def test_a_black_mask_says_that_there_is_nothing_to_do(
    demo_bundle: Path, drawn: Path, tmp_path: Path, run: Run
) -> None:
    given = ("--image", drawn / "fox.png", "--mask", drawn / "black.png")
    result = run("generate", demo_bundle, "a panda", *given, "-o", "same.png", cwd=tmp_path)
    draws(result, "same.png")
    assert result.stderr == "amused-edge: note: the mask covers no token: there is nothing to draw\n"
    assert np.array_equal(pixels(tmp_path / "same.png"), pixels(drawn / "fox.png"))


def test_watching(demo_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    options = ("--preview-dir", "steps", "--heatmap", "--reveal", "-o", "fox.png")
    draws(
        start("generate", demo_bundle, PROMPT, *QUICK, *options, cwd=tmp_path),
        *("fox.png", "fox-heatmap.png", "fox-reveal.png"),
    )
    names = [path.name for path in sorted((tmp_path / "steps").iterdir())]
    assert names == ["fox-step-01.png", "fox-step-02.png", "fox-step-03.png"]
    assert np.array_equal(pixels(tmp_path / "steps" / names[-1]), pixels(tmp_path / "fox.png"))
    assert not np.array_equal(pixels(tmp_path / "steps" / names[0]), pixels(tmp_path / "fox.png"))
    with Image.open(tmp_path / "fox-reveal.png") as animation:
        assert animation.n_frames >= 3  # equal frames are one, shown longer
    assert pixels(tmp_path / "fox-heatmap.png").shape == (64, 64, 3)


def test_a_file_of_prompts(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "prompts.txt").write_text("a fox\n\n  a panda \n", encoding="utf-8")
    result = run("generate", demo_bundle, "--prompts-file", "prompts.txt", *QUICK, "-o", "x.png", cwd=tmp_path)
    draws(result, "x-0.png", "x-1.png")
    (tmp_path / "empty.txt").write_text("\n")
    result = run("generate", demo_bundle, "--prompts-file", "empty.txt", cwd=tmp_path)
    assert result.returncode == 2
    assert "holds no prompt" in result.stderr
    (tmp_path / "utf-16.txt").write_bytes("a fox".encode("utf-16-le"))
    fails(run("generate", demo_bundle, "--prompts-file", "utf-16.txt", cwd=tmp_path), 2, "save them as UTF-8")


def test_an_interrupted_run_goes_on(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    """As left by a process that was killed: one picture written, the second between two steps, a third not begun."""
    command = ("generate", demo_bundle, PROMPT, "--count", "3", *QUICK)
    draws(run(*command, "-o", "a.png", cwd=tmp_path), "a-0.png", "a-1.png", "a-2.png")
    (tmp_path / "b-0.png").write_bytes((tmp_path / "a-0.png").read_bytes())
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as pipeline:
        from amused_edge.runtime import TextToImage

        (state,) = pipeline.begin(TextToImage(PROMPT, first_picture=1), GenerationOptions(3, 3))
        state.after(next(pipeline.resume(state))).save(tmp_path / "state.json")
    draws(run(*command, "-o", "b.png", "--resume", "state.json", cwd=tmp_path), "b-1.png", "b-2.png")
    for index in range(3):
        assert (tmp_path / f"a-{index}.png").read_bytes() == (tmp_path / f"b-{index}.png").read_bytes()
    assert not (tmp_path / "state.json").exists()
    draws(run(*command, "-o", "b.png", "--resume", "state.json", cwd=tmp_path))  # all is done already
    state.save(tmp_path / "state.json")  # killed after it wrote picture 1, before it removed the state
    draws(run(*command, "-o", "b.png", "--resume", "state.json", cwd=tmp_path))
    assert not (tmp_path / "state.json").exists()


def test_a_state_of_another_command_is_left_alone(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as pipeline:
        (state,) = pipeline.begin("a panda", GenerationOptions(3, 3))
    state.save(tmp_path / "state.json")
    before = (tmp_path / "state.json").read_bytes()
    command = ("generate", demo_bundle, PROMPT, *QUICK, "-o", "a.png", "--resume", "state.json")
    fails(run(*command, cwd=tmp_path), 2, "state of another picture")
    assert (tmp_path / "state.json").read_bytes() == before
    (tmp_path / "state.json").write_text("damaged")
    fails(run(*command, cwd=tmp_path), 2, "state")
    assert (tmp_path / "state.json").read_text() == "damaged"
    (tmp_path / "state.json").unlink()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    fails(run(*command, cwd=tmp_path), 2, "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "cache"]
    assert PictureState.from_json(before.decode()).next_step == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--mask", "half.png"], "need an --image"),
        (["--outpaint", "1,2,3"], "LEFT,TOP,RIGHT,BOTTOM"),
        (["--image", "fox.png", "--mask", "half.png", "--outpaint", "1,1,1,1"], "not both"),
        (["--strength", "0.5"], "--strength does not belong"),
        (["--image", "fox.png", "--feather", "2"], "--feather does not belong"),
        (["--guidance-interval", "1"], "BEGIN,END"),
        (["--sheet", "s.png", "--heatmap"], "files of their own"),
        (["--sheet", "s.png", "--resume", "s.json"], "--resume"),
        (["--like", "fox.png"], "not both"),
        (["--resume", "s.json", "--heatmap"], "do not go with --resume"),
        (["--columns", "2"], "--columns and --scale are for a --sheet"),
    ],
)
def test_wrong_usage(demo_bundle: Path, drawn: Path, args: list[str], words: str, run: Run) -> None:
    before = sorted(path.name for path in drawn.iterdir())
    result = run("generate", demo_bundle, PROMPT, *args, cwd=drawn)
    assert result.returncode == 2
    assert words in result.stderr
    assert sorted(path.name for path in drawn.iterdir()) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--image", "none.png"], "picture none.png does not exist"),
        (["--image", "fox.png", "--mask", "small.png"], "the mask has 64x32 pixels, its picture 64x64"),
        (["--image", "fox.png", "--strength", "2"], "strength is 2"),
        (["--image", "fox.png", "--outpaint", "10,0,0,0"], "other proportions"),
        (["--image", "fox.png", "--mask", "half.png", "--strength", "0"], "leaves none"),
        (["--guidance-interval", "0.5,0.2"], "must rise within 0 to 1"),
        (["--preview-dir", "nowhere"], "folder nowhere does not exist"),
        (["--resume", "nowhere/s.json"], "folder nowhere does not exist"),
        (["--resume", "x.png", "-o", "x.png"], "give the state a name of its own"),
        (["--outpaint", "100000,0,0,0", "--image", "fox.png"], "left is 100000"),
        (["--negative", "a", "--negative", "b"], "2 negative prompts for 1 prompts"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    demo_bundle: Path, drawn: Path, args: list[str], words: str, run: Run
) -> None:
    before = sorted(path.name for path in drawn.iterdir())
    fails(run("generate", demo_bundle, PROMPT, *args, cwd=drawn), 2, words)
    assert sorted(path.name for path in drawn.iterdir()) == before


def test_inspect_of_another_picture(drawn: Path, run: Run) -> None:
    fails(run("inspect", "half.png", cwd=drawn), 2, "does not say how it was drawn")
    fails(run("inspect", "none.png", cwd=drawn), 2, "cannot be read as a PNG")


def test_little_memory_gives_the_same_picture(demo_bundle: Path, drawn: Path, tmp_path: Path, run: Run) -> None:
    draws(run("generate", demo_bundle, PROMPT, *QUICK, "--low-memory", "-o", "a.png", cwd=tmp_path), "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(drawn / "fox.png"))
