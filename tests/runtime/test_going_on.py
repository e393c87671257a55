"""Saved states on the demo bundle: resumed equals uninterrupted; states of something else are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    Inpainting,
    MicroConditioning,
    PictureState,
    StateError,
    TextToImage,
    Variation,
)
from amused_edge.runtime.tasks.kinds import Task
from tests.support.drawn import OTHER, PROMPT, QUICK, right_half


def tasks(fox: Any, pipeline: AmusedPipeline) -> dict[str, Task]:
    return {
        "text": TextToImage(PROMPT, "blue", first_picture=2),
        "variation": Variation(OTHER, fox, 0.75),
        "inpainting": Inpainting(OTHER, fox, right_half(), feather=3),
        "embeddings": TextToImage(pipeline.embed(PROMPT), micro_conditioning=MicroConditioning(4.0, 8.0, 5.0)),
    }


@pytest.mark.parametrize("kind", ["text", "variation", "inpainting", "embeddings"])
@pytest.mark.parametrize("stop", [0, 2, 4])
def test_resumed_equals_uninterrupted(
    kind: str, stop: int, pipeline: AmusedPipeline, fox: Any, demo_bundle: Path, tmp_path: Path
) -> None:
    """In another pipeline, from the file alone and what was given."""
    task = tasks(fox, pipeline)[kind]
    expected = pipeline.generate(task, QUICK)
    (state,) = pipeline.begin(task, QUICK)
    for step in pipeline.resume(state, task):
        if step.index >= stop:
            break
        state = state.after(step)
    state.save(tmp_path / "state.json")
    given = None if kind == "text" else tasks(fox, pipeline)[kind]
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as fresh:
        state = PictureState.load(tmp_path / "state.json")
        for step in fresh.resume(state, given):
            state = state.after(step)
        picture = fresh.finish(state, given)
    assert np.array_equal(picture.image, expected.images[0])
    assert np.array_equal(picture.tokens, expected.tokens[0])
    assert np.array_equal(picture.probability, expected.probability[0])
    assert picture.parameters == expected.parameters[0]


def test_a_state_of_something_else_is_refused(pipeline: AmusedPipeline, fox: Any, bundle_copy: Path) -> None:
    (text,) = pipeline.begin(PROMPT, QUICK)
    (varied,) = pipeline.begin(Variation(OTHER, fox), QUICK)
    (embedded,) = pipeline.begin(pipeline.embed(PROMPT), QUICK)
    with pytest.raises(StateError, match="its prompt is"):
        next(pipeline.resume(text, OTHER))
    assert next(pipeline.resume(embedded, pipeline.embed(PROMPT))).index == 0
    with pytest.raises(StateError, match="its image_sha256 is"):
        next(pipeline.resume(varied, Variation(OTHER, fox[::-1])))
    with pytest.raises(StateError, match="needs its pictures again"):
        next(pipeline.resume(varied))
    with pytest.raises(StateError, match="give them again"):
        next(pipeline.resume(embedded))
    manifest = bundle_copy / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with AmusedPipeline.from_bundle(bundle_copy) as other, pytest.raises(StateError, match="use the same bundle"):
        next(other.resume(text))
    wrong = PictureState(text.parameters, 0, np.full((16, 16), 300), text.probability)
    with pytest.raises(StateError, match="tokens that the bundle does not have"):
        next(pipeline.resume(wrong))
    with pytest.raises(StateError, match="4 steps to go"):
        pipeline.finish(text)
    masked = PictureState(text.parameters, 4, text.tokens, text.probability)
    with pytest.raises(StateError, match="tokens that are masked"):
        pipeline.finish(masked)
