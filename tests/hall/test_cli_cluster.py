"""Options for a cluster, as far as none is needed; `make cluster` has the rest."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from amused_edge.cli.draw import draw
from amused_edge.cli.draw_pieces import draw_pieces
from amused_edge.cli.outputs import OutputFiles, OutputRequest
from amused_edge.cli.program import commands
from amused_edge.runtime import AmusedPipeline, EngineOptions, GenerationOptions, OutputExistsError, TextToImage
from tests.support.paths import ROOT
from tests.support.scattered import Scattered

BUNDLE = ROOT / "demo" / "bundle"


def asked(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(commands, [*map(str, words)], prog_name="amused-edge")
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with three prompts, in a working folder of its own."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "prompts.txt").write_text("a fox\na panda\na castle\n", encoding="utf-8")
    return place / "prompts.txt"


@pytest.mark.parametrize(
    ("words", "pictures"),
    [
        (["generate", BUNDLE, "--prompts-file", "prompts.txt", "--count", "2"], 6),
        (["bench", "quality", BUNDLE, BUNDLE, "--prompts", "prompts.txt"], 6),
        (["bench", "compare", BUNDLE, "--steps", "2,4", "--guidance", "1,2", "--prompts", "prompts.txt"], 12),
    ],
)
def test_a_plan_is_told_and_nothing_is_drawn(words: list[str | Path], pictures: int, prompts: Path) -> None:
    code, told, wrong = asked(*words, "--plan", "1,8")
    assert (code, wrong) == (0, "")
    lines = told.splitlines()
    assert lines[0].startswith(f"{pictures} pictures, ")
    assert [line.split()[0] for line in lines[1:4]] == ["nodes", "1", "8"]
    assert [path.name for path in prompts.parent.iterdir()] == ["prompts.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--plan", "0"], "a number of nodes is 1 or more"),
        (["--plan", "many"], "'many' is not a whole number"),
        (["--latency", "."], "--latency is for a --plan"),
    ],
)
def test_plans_that_make_no_sense(options: list[str], words: str, prompts: Path) -> None:
    for command in (["generate", BUNDLE, "x"], ["bench", "quality", BUNDLE, "--prompts", prompts]):
        code, told, wrong = asked(*command, *options)
        assert (code, told) == (2, "")
        assert words in wrong


def test_what_is_no_address_is_told_before_ray_is_needed(prompts: Path) -> None:
    """So is a bundle that the option took for one."""
    words = "is no address of a Ray cluster; give HOST:PORT, auto or local, as in --ray=auto"
    nobody = "no Ray cluster can be reached at 127.0.0.1:1"
    for command, expected, message in (
        (["bench", "quality", "--ray", BUNDLE, BUNDLE, "--prompts", prompts], 2, words),
        (["generate", BUNDLE, "x", "--ray=127.0.0.1:1"], 1, nobody),
    ):
        code, told, wrong = asked(*command)
        assert (code, told, wrong.count("\n")) == (expected, "", 1)
        assert message in wrong
    assert [path.name for path in prompts.parent.iterdir()] == ["prompts.txt"]


@pytest.mark.parametrize(
    "option", [["--sheet", "s.png"], ["--resume", "s.state"], ["--reveal"], ["--heatmap"], ["--preview-dir", "p"]]
)
def test_what_only_this_process_can_give_is_refused(option: list[str], prompts: Path) -> None:
    code, _, wrong = asked("generate", BUNDLE, "x", "--ray", *option)
    assert code == 2
    assert "do not go with --ray" in wrong


def test_pictures_in_pieces_are_those_of_one_process_and_those_that_are_there_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "node"))
    task = TextToImage(["a fox", "a panda"], pictures_per_prompt=2)
    options, engine = GenerationOptions(seed=3, steps=2), EngineOptions(threads=1)
    request = OutputRequest(tmp_path / "alone.png", None, None, None, False, False, None, None)
    with AmusedPipeline.from_bundle(BUNDLE, engine) as pipeline:
        alone = draw(pipeline, task, options, request, request.files(task, 3), lambda *_: None)
    paths = tuple(tmp_path / f"piece-{index}.png" for index in range(4))

    def draw_all(some: tuple[Path, ...], chosen: GenerationOptions) -> list[Path]:
        files = OutputFiles(some, kept=True)
        return draw_pieces(Scattered(1, 1), BUNDLE, engine, task, chosen, files, lambda *_: None)

    written = draw_all(paths, options)
    assert written == list(paths)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in alone]
    paths[2].unlink()
    assert draw_all(paths, options) == [paths[2]]
    assert paths[2].read_bytes() == alone[2].read_bytes()
    with pytest.raises(OutputExistsError, match="is another picture"):
        draw_all(paths, GenerationOptions(seed=4, steps=2))
