"""Which prompts are taken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.benchmarks.quality.instruments.judge import Judge
from amused_edge.benchmarks.quality.sources import choose_prompts, embed_files, picture_files
from amused_edge.benchmarks.subjects.prompts import BUILT_IN
from tests.support.files import read_json
from tests.support.paths import ROOT

FOLDER = ROOT / "demo" / "judge"


def test_a_file_comes_before_the_judge_and_the_judge_before_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("b\na\n", encoding="utf-8")
    judge = Judge(FOLDER)
    assert choose_prompts(tmp_path / "mine.txt", judge, None) == ("b", "a")
    assert choose_prompts(None, judge, None) == judge.prompts
    assert choose_prompts(None, None, None) == BUILT_IN


@pytest.mark.parametrize("count", [12, 24, 48, 72])
def test_a_few_prompts_are_not_all_of_the_same_thing(count: int) -> None:
    """The judge's list goes through its 36 things again and again: every 36th prompt is of a banana."""
    concepts = {entry["prompt"]: entry["concept"] for entry in read_json(FOLDER / "references.json")}
    taken = choose_prompts(None, Judge(FOLDER), count)
    assert len(set(taken)) == count
    # Of n draws from 36 things, 36 (1 - (35/36)^n) different ones are expected; a stride finds 1 to 6.
    assert len({concepts[prompt] for prompt in taken}) >= 0.75 * 36 * (1 - (35 / 36) ** count)


def test_fewer_prompts_are_among_more_and_keep_their_order() -> None:
    few, more = (choose_prompts(None, None, count) for count in (5, 20))
    assert set(few) < set(more)
    assert [BUILT_IN.index(prompt) for prompt in more] == sorted(BUILT_IN.index(prompt) for prompt in more)
    assert choose_prompts(None, None, 20) == more
    assert choose_prompts(None, None, len(BUILT_IN)) == BUILT_IN


def test_real_pictures_are_read_as_a_viewer_shows_them(tmp_path: Path) -> None:
    """Transparency was dropped and turned photographs lay on their side."""
    Image.new("RGBA", (2, 1), (9, 9, 9, 0)).save(tmp_path / "a.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (2, 1), "red").save(tmp_path / "b.PNG", exif=turned)
    seen: list[np.ndarray] = []

    def embedder(pictures: list[np.ndarray]) -> np.ndarray:
        seen.extend(pictures)
        return np.zeros((1, 1))

    assert len(list(embed_files(picture_files(tmp_path), embedder))) == 2  # type: ignore[arg-type]
    clear, upright = seen
    assert clear.tolist() == [[[255] * 3] * 2]
    assert upright.tolist() == [[[255, 0, 0]]] * 2
