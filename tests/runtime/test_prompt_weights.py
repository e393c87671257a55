"""Prompts with weights in every task, in states and in what pictures say."""

import json
from pathlib import Path

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    GenerationOptions,
    Inpainting,
    PictureParameters,
    PictureState,
    PromptEmbeddings,
    PromptWeights,
    StateError,
    TextToImage,
    Variation,
)
from amused_edge.runtime.tasks.kinds import Task
from tests.support.paths import ROOT

PLAIN, WEIGHTED = "a fox on a blue background", PromptWeights("a (fox:1.6) on a [blue] background")
QUICK = GenerationOptions(seed=3, steps=3)


@pytest.fixture(scope="module")
def pipeline() -> AmusedPipeline:
    return AmusedPipeline.from_bundle(ROOT / "demo" / "bundle", verify=False)


def test_hidden_states_move_along_the_line_from_the_empty_prompts(pipeline: AmusedPipeline) -> None:
    """In float64. Which tokens are of which word is known from the prompt's beginning being encoded alone: ids are the
    same with and without weights, and "a" is one token, after the start.
    """
    plain, empty = pipeline.embed(PLAIN), pipeline.embed("")
    found = pipeline.embed(WEIGHTED)
    count = [int(np.argmax(ids)) for ids in pipeline.tokenizer(["", "a", "a fox", "a fox on a", "a fox on a blue"])]
    ends = [int((ids != pipeline.tokenizer([""])[0, -1]).sum()) for ids in pipeline.tokenizer(["a", "a fox"])]
    assert count[0] == 1
    weights = np.ones(len(plain.hidden_states))
    start, fox, before, blue = ends[0], ends[1], count[3], count[4]
    weights[start:fox], weights[before:blue] = 1.6, 1 / 1.1
    line = empty.hidden_states + weights[:, None] * (plain.hidden_states.astype(np.float64) - empty.hidden_states)
    assert np.abs(found.hidden_states - line).max() <= 1e-6 * np.abs(line).max()
    assert (found.hidden_states[weights == 1] == plain.hidden_states[weights == 1]).all()
    assert (found.pooled == plain.pooled).all()


def test_a_prompt_whose_weights_are_one_is_the_prompt_itself(pipeline: AmusedPipeline) -> None:
    for text in (PLAIN, f"([{PLAIN}])", PLAIN.replace("fox", "(fox:1)")):
        assert pipeline.embed(PromptWeights(text)).sha256 == pipeline.embed(PLAIN).sha256


def _tasks() -> dict[str, Task]:
    picture = np.full((64, 64, 3), 200, np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    return {
        "text": TextToImage([WEIGHTED, PLAIN], negative_prompts=PromptWeights("(red)")),
        "variation": Variation(WEIGHTED, picture, 0.9),
        "inpainting": Inpainting(WEIGHTED, picture, mask),
    }


@pytest.mark.parametrize("kind", ["text", "variation", "inpainting"])
def test_every_task_goes_on_from_its_state_and_is_drawn_again(
    pipeline: AmusedPipeline, tmp_path: Path, kind: str
) -> None:
    """The same picture as from embeddings that were weighted before."""
    task = _tasks()[kind]
    whole = next(iter(pipeline.pictures(task, QUICK)))
    state = pipeline.begin(task, QUICK)[0]
    state = state.after(next(iter(pipeline.resume(state, task))))
    state.save(tmp_path / "state")
    state = PictureState.load(tmp_path / "state")
    for step in pipeline.resume(state, task):
        state = state.after(step)
    assert (pipeline.finish(state, task).image == whole.image).all()
    assert PictureParameters.from_json(whole.parameters.to_json()) == whole.parameters
    if kind == "text":
        again = whole.parameters.restore()
        assert again.prompts == (WEIGHTED,)
        assert (pipeline.generate(again, QUICK).images[0] == whole.image).all()
        embedded = TextToImage(pipeline.embed(WEIGHTED), pipeline.embed(PromptWeights("(red)")))
        assert (pipeline.generate(embedded, QUICK).images[0] == whole.image).all()


def test_damaged_parameters(pipeline: AmusedPipeline) -> None:
    state = pipeline.begin(_tasks()["text"], QUICK)[0]
    content = json.loads(state.parameters.to_json())
    assert content["task"]["prompt"] == {"weighted_text": WEIGHTED.weighted_text}
    content["task"]["prompt"] = {"weighted_text": "(fox"}
    with pytest.raises(StateError, match="no partner"):
        PictureParameters.from_json(json.dumps(content))
    assert isinstance(pipeline.embed(WEIGHTED), PromptEmbeddings)
