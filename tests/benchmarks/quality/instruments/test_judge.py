"""The demo's judge knows the demo's true pictures; folders that are no judge are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.benchmarks.metrics.sets import kid
from amused_edge.benchmarks.quality.instruments.judge import QUESTIONS, Judge
from amused_edge.runtime.errors import OptionsError
from tests.support.paths import ROOT
from tests.support.picture_models import FLOAT, NCHW, pictures, save_flat, save_model

DEMO = ROOT / "demo" / "judge"
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(DEMO)


def test_each_prompt_has_the_picture_that_it_asks_for(judge: Judge) -> None:
    """Seen at the corner of each: the named background is the nearest of the four."""
    assert len(judge.prompts) == len(set(judge.prompts)) == 432
    for prompt in judge.prompts:
        image = judge.truth(prompt)
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        corner = image[0, 0].astype(float)
        nearest = min(COLOURS, key=lambda name: float(np.linalg.norm(corner - COLOURS[name])))
        assert prompt.endswith(f"on a {nearest} background")


def test_all_true_pictures_are_judged_right(judge: Judge) -> None:
    """In concept and background; styles are told apart in 98 of a hundred renders, as the judge's card says."""
    answers = judge.answers(judge.prompts, [judge.truth(prompt) for prompt in judge.prompts])
    assert tuple(answers) == QUESTIONS
    assert answers["concept"].shape == (432,)
    assert answers["concept"].min() == answers["background"].min() == 1.0
    assert answers["style"].mean() > 0.97


def test_pictures_of_something_else_are_judged_wrong(judge: Judge) -> None:
    """The white backgrounds come first, then the next concept: each picture answers the prompt that follows it."""
    prompts = [prompt for prompt in judge.prompts if prompt.endswith("a white background")][:12]
    moved = [*prompts[1:], prompts[0]]
    answers = judge.answers(moved, [judge.truth(prompt) for prompt in prompts])
    assert answers["concept"].tolist() == [0.0] * 12
    assert answers["background"].tolist() == [1.0] * 12


def test_features_tell_true_pictures_from_noise(judge: Judge) -> None:
    truths = [judge.truth(prompt) for prompt in judge.prompts[::9]]
    features = judge.features(truths)
    assert features.shape == (48, 192)
    assert features.dtype == np.float64
    assert kid(features, judge.features(truths), paired=True) == 0.0
    mixed = np.random.default_rng(0).permutation(features)
    assert kid(features, judge.features(pictures(48, 64, 64))) > 5 * abs(kid(mixed[::2], mixed[1::2]))


def test_prompts_without_a_true_picture_are_refused(judge: Judge) -> None:
    judge.check(judge.prompts, (64, 64))
    with pytest.raises(OptionsError, match=r"no true picture of 2 of 3 prompts, the first 'a fox'"):
        judge.check([judge.prompts[0], "a fox", "a panda"], (64, 64))


@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (256, 256)])
def test_bundles_of_another_size_are_refused(judge: Judge, shape: tuple[int, int]) -> None:
    with pytest.raises(OptionsError, match=rf"are 64 x 64, the bundles' {shape[1]} x {shape[0]}"):
        judge.check(judge.prompts[:1], shape)


# --- What is no judge.


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", Path(__file__)):
        with pytest.raises(OptionsError, match="holds no judge"):
            Judge(folder)


def without(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def written(name: str, content: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(content)


def entries(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Path], Any]:
    def apply(folder: Path) -> None:
        found = json.loads((folder / "references.json").read_text())
        change(found)
        (folder / "references.json").write_text(json.dumps(found))

    return apply


def flat_model(folder: Path) -> None:
    save_flat(folder / "judge.onnx")  # gives features, but answers nothing


def two_inputs(folder: Path) -> None:
    nodes = [("Add", ["a", "b"], "sum", {}), ("Flatten", ["sum"], "features", {})]
    inputs = [("a", FLOAT, NCHW), ("b", FLOAT, NCHW)]
    save_model(folder / "judge.onnx", nodes, inputs, [("features", FLOAT, ["b", "n"])])


@pytest.mark.parametrize(
    "damage",
    [
        *(without(name) for name in ("judge.json", "judge.onnx", "references.json", "references.png")),
        *(written(name, "{") for name in ("judge.json", "judge.onnx", "references.json", "references.png")),
        *(written("judge.json", text) for text in ("[]", "{}", '{"concepts": 3, "styles": [], "backgrounds": []}')),
        *(written("references.json", text) for text in ("[]", "{}", "3", '["text"]', '[{"prompt": "a fox"}]')),
        entries(lambda found: found[0].pop("column")),
        entries(lambda found: found[1].pop("row")),
        entries(lambda found: found[2].pop("style")),
        entries(lambda found: found[0].update(column=None)),
        entries(lambda found: found[0].update(row=5000)),
        entries(lambda found: found[0].update(concept="unheard of")),
        flat_model,
        two_inputs,
    ],
    ids=[
        *(f"no {part}" for part in ("labels", "model", "references", "sheet")),
        *(f"damaged {part}" for part in ("labels", "model", "references", "sheet")),
        *("labels: list", "labels: empty", "labels: number"),
        *("none", "object", "number", "text", "prompt only"),
        *("no column", "no row", "no style", "null column", "row outside", "unknown concept"),
        *("model without answers", "model of two inputs"),
    ],
)
def test_a_folder_in_which_something_is_wrong_is_refused(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    """When it is opened, as drawing may take hours before it is asked."""
    folder = Path(shutil.copytree(DEMO, tmp_path / "judge"))
    damage(folder)
    with pytest.raises(OptionsError, match="judge"):
        Judge(folder)


def test_a_sheet_with_transparency_is_read_without(tmp_path: Path, judge: Judge) -> None:
    folder = Path(shutil.copytree(DEMO, tmp_path / "judge"))
    with Image.open(folder / "references.png") as sheet:
        sheet.convert("RGBA").save(folder / "references.png")
    prompt = judge.prompts[100]
    np.testing.assert_array_equal(Judge(folder).truth(prompt), judge.truth(prompt))
