"""Clips of the demo: what is known stays, the schedule is kept, resumed equals uninterrupted; what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    Cancellation,
    Clip,
    ClipState,
    EngineOptions,
    Frame,
    GenerationCancelledError,
    Inpainting,
    OptionsError,
    PictureParameters,
    StateError,
    Step,
    TextToImage,
    Variation,
)
from amused_edge.runtime.tasks.clip import pan
from amused_edge.runtime.tasks.motion_file import read_motions
from tests.support.drawn import OTHER, PROMPT, QUICK, right_half

CLIP = Clip(7, (0.1, -0.03), refresh=0.2)
Drawn = tuple[list[Frame], list[tuple[ClipState, Step]]]


@pytest.fixture(scope="module")
def drawn(pipeline: AmusedPipeline) -> Drawn:
    return watched(pipeline, PROMPT, CLIP)


def watched(pipeline: AmusedPipeline, task: Any, clip: Clip) -> Drawn:
    """Draw a clip; return its frames, and each step with the state behind it."""
    steps: list[tuple[ClipState, Step]] = []
    return list(pipeline.video(task, clip, QUICK, on_step=lambda *step: steps.append(step))), steps


def test_the_first_frame_is_the_picture(drawn: Drawn, pipeline: AmusedPipeline) -> None:
    frames, _ = drawn
    picture = pipeline.generate(PROMPT, QUICK)
    assert np.array_equal(frames[0].picture.image, picture.images[0])
    assert [frame.index for frame in frames] == list(range(7))


def test_known_tokens_stay_and_the_linear_schedule_is_kept(drawn: Drawn, pipeline: AmusedPipeline) -> None:
    frames, steps = drawn
    for frame in frames[1:]:
        first, *others = [step for state, step in steps if state.place.frame == frame.index]
        known = np.isinf(first.confidence[0])
        masked = int((~known).sum())
        assert 0 < masked < 256
        for index, step in enumerate([first, *others]):
            assert np.array_equal(step.tokens[0][known], frame.picture.tokens[known])
            left = int(np.floor(np.float32(256) * (np.float32(masked / 256) * (1 - np.float32(index + 1) / 4))))
            assert step.mask.sum() == (left if index < 3 else 0)
        assert frame.picture.parameters.settings.schedule == "linear"


@pytest.mark.parametrize("kind", ["text", "variation"])
def test_resumed_at_frame_5_equals_uninterrupted(
    kind: str, drawn: Drawn, pipeline: AmusedPipeline, fox: Any, tmp_path: Path
) -> None:
    """Within its steps, and at its end; a loop needs the first frame too."""
    task: Any = PROMPT if kind == "text" else Variation(OTHER, fox, 0.0)
    clip = CLIP if kind == "text" else Clip(7, loop=True, refresh=0.4)
    clip = Clip(7, loop=True, refresh=0.4)
    frames, steps = drawn if kind == "text" else watched(pipeline, task, clip)
    within = next(state for state, _ in steps if state.place.frame == 5)
    for state in (within, frames[5].state):
        state.save(tmp_path / "state.json")
        loaded = ClipState.load(tmp_path / "state.json")
        rest = list(pipeline.resume_video(loaded, None if kind == "text" else task))
        assert [frame.index for frame in rest] == [5, 6]
        for frame, expected in zip(rest, frames[5:], strict=True):
            assert np.array_equal(frame.picture.tokens, expected.picture.tokens)
            assert np.array_equal(frame.picture.probability, expected.picture.probability)
            assert np.array_equal(frame.picture.image, expected.picture.image)
            assert frame.picture.parameters == expected.picture.parameters


def test_little_memory_draws_the_same(drawn: Drawn, demo_bundle: Path) -> None:
    with AmusedPipeline.from_bundle(demo_bundle, EngineOptions.low_memory(), verify=False) as small:
        state = drawn[0][4].state
        rest = list(small.resume_video(state))
    assert np.array_equal([frame.picture.image for frame in rest], [frame.picture.image for frame in drawn[0][4:]])


def test_a_clip_can_be_cancelled(pipeline: AmusedPipeline) -> None:
    cancellation = Cancellation()
    with pytest.raises(GenerationCancelledError):
        list(pipeline.video(PROMPT, CLIP, QUICK, cancellation=cancellation, on_step=lambda *_: cancellation.cancel()))


def test_parameters_say_how_to_draw_the_clip_again(drawn: Drawn) -> None:
    parameters = drawn[0][3].picture.parameters
    again = PictureParameters.from_json(parameters.to_json())
    assert again == parameters
    assert again.clip is not None
    assert (again.clip.clip, again.clip.frame, again.options().schedule) == (CLIP, 3, "cosine")
    content = json.loads(parameters.to_json())
    for name, value in (("frame", 7), ("frames", "7"), ("motion", [1, 2, 3]), ("refresh", []), ("loop", 1)):
        with pytest.raises(StateError):
            PictureParameters.from_dict({**content, "clip": {**content["clip"], name: value}})


def test_states_of_something_else_are_refused(drawn: Drawn, pipeline: AmusedPipeline) -> None:
    state = drawn[0][2].state
    text = state.to_json()
    with pytest.raises(StateError, match="hash does not fit"):
        ClipState.from_json(
            text.replace('"version": 1', '"version": 1', 1).replace('"finished": "', '"finished": "A', 1)
        )
    with pytest.raises(StateError, match="no state of a clip"):
        ClipState.from_json(state.picture.to_json())
    with pytest.raises(StateError, match="cannot be read as a state"):
        ClipState.load("nowhere")
    with pytest.raises(StateError, match="its prompt is"):
        pipeline.resume_video(state, OTHER)
    with pytest.raises(StateError, match="frames that the bundle cannot have drawn"):
        pipeline.resume_video(ClipState(state.finished + 300, state.picture))
    with pytest.raises(StateError, match="frames that the bundle cannot have drawn"):
        pipeline.resume_video(ClipState(state.finished[:1], state.picture))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": 1}, "frames is 1"),
        ({"frames": 10_001}, "10000 or less"),
        ({"motion": (2.0, 0.0)}, "between -1 and 1"),
        ({"motion": (float("nan"), 0.0)}, "between -1 and 1"),
        ({"motion": "right"}, "motion is 'right'"),
        ({"motion": (0.1, 0.1, 0.1)}, "motion is"),
        ({"motion": [(0.1, 0.1)] * 3}, "3 motions for a clip of 8 frames; give one for all, or 7"),
        ({"motion": []}, r"motion is \[\]"),
        ({"motion": (10**400, 0.0)}, "between -1 and 1"),
        ({"refresh": 1.5}, "refresh is 1.5"),
        ({"refresh": (0.1, 0.2)}, "2 refresh shares for a clip of 8 frames"),
        ({"refresh": "much"}, "refresh is 'much'"),
        ({"zoom": 3.0}, "zoom is 3"),
        ({"zoom": 1.1, "loop": True}, "does not lead back"),
        ({"motion": (0.0, 0.05), "loop": True}, "come to 0.4 of the picture in y"),
    ],
)
def test_clips_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        Clip(**given)


def test_what_a_clip_cannot_start_from(pipeline: AmusedPipeline, fox: Any) -> None:
    with pytest.raises(OptionsError, match="cannot start from an in-painting"):
        pipeline.video(Inpainting(PROMPT, fox, right_half()))
    with pytest.raises(OptionsError, match="asked of 4 pictures"):
        pipeline.video(TextToImage([PROMPT, OTHER], pictures_per_prompt=2))
    with pytest.raises(OptionsError, match="choose one of: left, right, up, down"):
        pan("around")  # type: ignore[arg-type]


def test_motions_from_files(tmp_path: Path) -> None:
    lines, listed = tmp_path / "way.csv", tmp_path / "way.json"
    lines.write_text("x,y\n0.1, -0.2\n\n0,0.5\n", encoding="utf-8-sig")
    listed.write_text("[[0.1, -0.2], [0, 0.5]]")
    assert read_motions(lines) == read_motions(listed) == ((0.1, -0.2), (0.0, 0.5))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"0.1\n", "a motion is"),
        ("a.csv", b"0.1,0.2\n1 2\n", "line 2 is '1 2'"),
        ("a.csv", b"0.1,7\n", "between -1 and 1"),
        ("a.csv", b"", r"motion is \[\]"),
        ("a.csv", b"\xff\xfe0", "not UTF-8"),
        ("a.json", b"[0.1, 0.2]", "list of pairs"),
        ("a.json", b'[["a", 1]]', "between -1 and 1"),
        ("a.json", b"[[", "not JSON"),
        ("b", None, "cannot read the motions"),
    ],
)
def test_files_that_hold_no_motions(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(OptionsError, match=message):
        read_motions(tmp_path / name)
