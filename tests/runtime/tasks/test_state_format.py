"""The format of saved states and of a picture's parameters, put together here by hand; the ends of what is taken."""

import base64
import hashlib
import json
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.errors import InternalError, StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.clip import NOISE_STEPS, Clip, ClipFrame
from amused_edge.runtime.tasks.kinds import Inpainting, TextToImage, Variation
from amused_edge.runtime.tasks.parameters import PictureParameters, rebuild_task
from amused_edge.runtime.tasks.state import PictureState

SETTINGS = SamplerSettings(steps=2, guidance_scale=3.0, schedule="linear")
PARAMETERS = PictureParameters.of("Füchse", "ab" * 32, TextToImage("🦊", "blau", first_picture=5), 7, SETTINGS)
TOKENS = np.array([[1, 2, 3], [400, 5000, 8255]])
PROBABILITY = np.array([[0.0, 0.25, 0.5], [1.0, 1e-20, 0.75]], np.float32)
STATE = PictureState(PARAMETERS, 1, TOKENS, PROBABILITY, 0.5)
PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
MASK = np.repeat(np.array([[255, 0, 0, 255]], np.uint8), 4, axis=0)

TASK = {"kind": "text_to_image", "prompt": "🦊", "negative_prompt": "blau", "picture": 5, "micro_conditioning": None}
PLAIN_SETTINGS = {
    "steps": 2,
    "guidance_scale": 3.0,
    "temperature": (2.0, 0.0),
    "schedule": "linear",
    "guidance_ramp": "constant",
    "guidance_interval": (0.0, 1.0),
    "order": "confidence",
}
PLAIN = {
    "format": "amused-edge picture",
    "version": 1,
    "bundle": {"name": "Füchse", "sha256": "ab" * 32},
    "task": TASK,
    "seed": 7,
    "settings": PLAIN_SETTINGS,
}


def packed(array: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(zlib.compress(array.tobytes())).decode()


def sealed(content: dict[str, Any]) -> str:
    """With a hash of all the rest, its names in order, as ASCII."""
    text = json.dumps(content, sort_keys=True)
    return json.dumps({**content, "sha256": hashlib.sha256(text.encode()).hexdigest()}, ensure_ascii=False)


def content(**changes: object) -> dict[str, Any]:
    """The state above, by hand."""
    return {
        "format": "amused-edge state",
        "version": 1,
        "parameters": PLAIN,
        "next_step": 1,
        "starting_mask_ratio": 0.5,
        "grid": [2, 3],
        "tokens": packed(TOKENS.astype("<i4")),
        "probability": packed(PROBABILITY),
    } | changes


def test_text_of_parameters_and_states() -> None:
    assert PARAMETERS.to_json() == json.dumps(PLAIN, ensure_ascii=False)
    assert STATE.to_json() == sealed(content())


def grid(height: int, width: int) -> dict[str, Any]:
    size = (height, width)
    parts = {"tokens": packed(np.zeros(size, "<i4")), "probability": packed(np.ones(size, "<f4"))}
    return {"grid": list(size), **parts}


@pytest.mark.parametrize(
    "changes",
    [grid(1, 1), grid(1, 4096), {"next_step": 0}, {"next_step": 2}, {"starting_mask_ratio": 1.0}],
    ids=["a token", "4096 tokens", "at the start", "at the end", "of all"],
)
def test_the_ends_of_what_a_state_may_say(changes: dict[str, Any]) -> None:
    state = PictureState.from_json(sealed(content(**changes)))
    assert json.loads(state.to_json()) == json.loads(sealed(content(**changes)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (grid(1, 4097), "grid is"),
        ({"grid": [1, 2, 3]}, "grid is"),
        ({"next_step": -1}, "before step -1 of 2"),
        ({"next_step": 3}, "before step 3 of 2"),
        ({"starting_mask_ratio": 1.0001}, "ratio 1.0001"),
        ({"probability": packed(PROBABILITY * np.float32(1.01))}, "not within 0 to 1"),
        ({"probability": packed(-PROBABILITY)}, "not within 0 to 1"),
        ({"probability": packed(PROBABILITY * np.float32(np.nan))}, "not within 0 to 1"),
        ({"tokens": packed(TOKENS.astype("<i4")) + "!"}, "damaged"),
        ({"tokens": packed(np.append(TOKENS, 1).astype("<i4"))}, "25 bytes for a grid of 24"),
    ],
)
def test_beyond_the_ends(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(StateError, match=says):
        PictureState.from_json(sealed(content(**changes)))


def test_a_state_without_its_hash() -> None:
    with pytest.raises(StateError, match="its hash does not fit; begin the picture again"):
        PictureState.from_json(json.dumps(content()))
    with pytest.raises(StateError, match="no state, or one of another version; use"):
        PictureState.from_json(sealed(content(version=2)))


def test_no_more_is_unpacked_than_the_grid_has() -> None:
    """20 MB of zeros in 20 KB."""
    text = sealed(content(tokens=packed(np.zeros(20_000_000, np.uint8))))
    tracemalloc.start()
    try:
        with pytest.raises(StateError, match="25 bytes for a grid of 24"):
            PictureState.from_json(text)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for state in (STATE, replace(STATE, next_step=2)):
        state.save(tmp_path / "state.json")
        assert PictureState.load(tmp_path / "state.json").next_step == state.next_step


def test_the_state_after_a_step() -> None:
    two = np.stack([TOKENS + 1, TOKENS + 2])
    probability = np.stack([PROBABILITY / 2, PROBABILITY / 4])
    step = Step(4, 12, two, two, np.zeros(two.shape, bool), probability, probability)
    for after, picture in ((STATE.after(step), 0), (STATE.after(step, 1), 1)):
        assert (after.parameters, after.next_step, after.starting_mask_ratio) == (PARAMETERS, 5, 0.5)
        assert np.array_equal(after.tokens, two[picture])
        assert np.array_equal(after.probability, probability[picture])


MASKED = 9000
SINCE = np.array([[-1, 0, 2], [1, -1, 3]])
WITH_ROWS = replace(PARAMETERS, settings=replace(SETTINGS, row_cache=3))
KEPT = PictureState(WITH_ROWS, 3, np.where(SINCE < 0, MASKED, TOKENS), PROBABILITY, 0.5, SINCE)


def test_what_a_state_with_a_row_cache_knows_of_the_steps_before() -> None:
    """A state tells since which step the denoiser read each token."""
    begun = PictureState.start(WITH_ROWS, 1, KEPT.tokens, MASKED, 0.25)
    assert begun.known_since is not None
    assert begun.known_since.tolist() == [[-1, 1, 1], [1, -1, 1]]
    assert (begun.parameters, begun.next_step, begun.starting_mask_ratio) == (WITH_ROWS, 1, 0.25)
    assert begun.tokens is KEPT.tokens
    assert begun.probability.dtype == np.float32
    assert begun.probability.tolist() == [[1, 1, 1]] * 2
    assert PictureState.start(PARAMETERS, 0, TOKENS, MASKED, 1.0).known_since is None
    for step, known in ((0, [1]), (1, [1, 3]), (2, [1, 2, 3]), (3, [1, 2, 3, 5])):
        before = KEPT.tokens_before(step, MASKED)
        assert before.dtype == np.int64
        assert np.flatnonzero(before != MASKED).tolist() == known
        assert before.ravel()[known].tolist() == TOKENS.ravel()[known].tolist()
    with pytest.raises(InternalError, match="what a state knows of the steps before"):
        STATE.tokens_before(0, MASKED)


def test_a_step_tells_since_when_its_tokens_are_known() -> None:
    """Those of the step that the next one reads; what was known before stays so."""
    two, probability = np.stack([TOKENS] * 2), np.stack([PROBABILITY] * 2)
    masks = np.array([[[True, False, False], [False, True, False]], [[False, False, False], [False, True, False]]])
    for picture, since in ((0, SINCE), (1, [[5, 0, 2], [1, -1, 3]])):
        after = KEPT.after(Step(4, 12, two, two, masks, probability, probability), picture)
        assert after.known_since is not None
        assert after.known_since.dtype == np.int64
        assert np.array_equal(after.known_since, since)


def test_the_format_with_a_row_cache() -> None:
    state = replace(KEPT, parameters=replace(WITH_ROWS, settings=replace(WITH_ROWS.settings, steps=3)))
    written = json.loads(state.to_json())
    assert written["parameters"]["version"] == 3
    assert written["parameters"]["settings"]["row_cache"] == 3
    assert written["known_since"] == packed(SINCE.astype("<i4"))
    again = PictureState.from_json(state.to_json())
    assert again.known_since is not None
    assert again.known_since.dtype == np.int64
    assert np.array_equal(again.known_since, SINCE)
    short = {**written, "known_since": packed(SINCE[:1].astype("<i4"))}
    missing = {name: value for name, value in written.items() if name != "known_since"}
    for damaged, says in ((short, "12 bytes for a grid of 24"), (missing, "lacks 'known_since'")):
        with pytest.raises(StateError, match=says):
            PictureState.from_json(sealed({name: value for name, value in damaged.items() if name != "sha256"}))


def test_parameters_of_a_frame() -> None:
    """What reads no clips refuses it by its version."""
    clip = Clip(3, (0.25, 0.0), refresh=0.5)
    frame = replace(PARAMETERS, clip=ClipFrame(clip, 2, "cosine"))
    plain = frame.to_dict()
    moving = {"frames": 3, "motion": [[0.25, 0.0]], "zoom": 1.0, "refresh": [0.5], "loop": False}
    assert plain == {**PLAIN, "version": 2, "clip": {**moving, "frame": 2, "first_schedule": "cosine"}}
    assert PictureParameters.from_dict(plain) == frame
    assert (frame.noise_step, PARAMETERS.noise_step) == (2 * NOISE_STEPS, 0)
    assert frame.options() == GenerationOptions(
        7, 2, 3.0, (2.0, 0.0), "cosine", "constant", (0.0, 1.0), "confidence", 0.0, 0
    )
    assert PARAMETERS.options().schedule == "linear"
    for other in ({**plain, "version": 1}, {**PLAIN, "version": 2}):
        with pytest.raises(StateError, match="another format or version"):
            PictureParameters.from_dict(other)
    with pytest.raises(StateError, match="lacks 'seed'; it is damaged"):
        PictureParameters.from_dict({name: value for name, value in PLAIN.items() if name != "seed"})


def test_tasks_come_back_from_parameters_and_pictures() -> None:
    micro = MicroConditioning(1, 2, 3)
    common: dict[str, Any] = {"first_picture": 4, "micro_conditioning": micro}
    text = TextToImage("a", "b", **common)
    varied = Variation("a", PICTURE, strength=0.5, negative_prompts="b", fit="pad", **common)
    painted = Inpainting("a", PICTURE, MASK, strength=0.25, negative_prompts="b", coverage="any", feather=2, **common)
    of_text, of_varied, of_painted = (
        PictureParameters.of("x", "00", task, 1, SETTINGS) for task in (text, varied, painted)
    )
    for parameters, given in ((of_text, []), (of_varied, [PICTURE]), (of_painted, [PICTURE, MASK])):
        again = rebuild_task(parameters, *given)
        assert PictureParameters.of("x", "00", again, 1, SETTINGS) == parameters
    for parameters, given, says in (
        (of_text, [PICTURE], "text_to_image has no image; leave it out"),
        (of_varied, [None], "variation needs its image; give it as it was"),
        (of_varied, [PICTURE, MASK], "variation has no mask; leave it out"),
        (of_painted, [PICTURE], "inpainting needs its mask; give it as it was"),
        (of_varied, [PICTURE[::-1]], f"its image_sha256 is .*, the picture's '{varied.image_hashes[0]}'"),
        (of_painted, [PICTURE, ~MASK], f"its mask_sha256 is .*, the picture's '{painted.mask_hashes[0]}'"),
    ):
        with pytest.raises(StateError, match=says):
            rebuild_task(parameters, *given)
