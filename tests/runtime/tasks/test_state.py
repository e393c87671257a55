"""Saved states: what they hold, and that damaged and foreign ones are refused with one clear error."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.kinds import Inpainting, TextToImage
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.state import PictureState

PARAMETERS = PictureParameters.of(
    "some bundle", "ab" * 32, TextToImage("ein Füchslein 🦊", "blau"), 2**64 - 1, SamplerSettings(steps=7)
)
MICRO = MicroConditioning(1, 2, 3)
RNG = np.random.default_rng(0)
STATE = PictureState(
    PARAMETERS,
    3,
    RNG.integers(0, 8192, (32, 32)),
    RNG.random((32, 32), np.float32),
    float(np.float32(0.3)),
)


def rehashed(content: dict[str, Any]) -> str:
    """A hostile writer makes the hash fit."""
    from amused_edge.runtime.tasks.sealed import hash_of

    content = {name: value for name, value in content.items() if name != "sha256"}
    return json.dumps({**content, "sha256": hash_of(content)})


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    STATE.save(tmp_path / "state.json")
    loaded = PictureState.load(tmp_path / "state.json")
    assert (loaded.parameters, loaded.next_step) == (PARAMETERS, 3)
    assert loaded.starting_mask_ratio == STATE.starting_mask_ratio
    assert np.array_equal(loaded.tokens, STATE.tokens)
    assert np.array_equal(loaded.probability, STATE.probability)
    assert loaded.tokens.dtype == np.int64
    assert loaded.probability.dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_state_is_a_few_kilobytes() -> None:
    """1024 random tokens of 8192 codes, the worst case of amused-512."""
    assert len(STATE.to_json()) < 12_000


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "5", "null", "{" * 100_000, STATE.to_json()[:-20], STATE.to_json().replace("blau", "grau")]
)
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(StateError):
        PictureState.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("format", "else"),
        ("next_step", -1),
        ("next_step", 8),
        ("next_step", "3"),
        ("next_step", True),
        ("starting_mask_ratio", 0.0),
        ("starting_mask_ratio", float("nan")),
        ("starting_mask_ratio", "1"),
        ("starting_mask_ratio", 10**400),
        ("grid", [32]),
        ("grid", [0, 32]),
        ("grid", [32, 31]),
        ("grid", [10**9, 10**9]),
        ("grid", "32"),
        ("tokens", "!"),
        ("tokens", "AAAA"),
        ("tokens", "ünicode"),
        ("probability", 5),
        ("parameters", {}),
        ("parameters", None),
    ],
)
def test_a_hostile_state_is_refused(name: str, value: object) -> None:
    with pytest.raises(StateError):
        PictureState.from_json(rehashed({**json.loads(STATE.to_json()), name: value}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], "else"),
        (["version"], 2),
        (["seed"], -1),
        (["seed"], 2**64),
        (["seed"], "1"),
        (["settings", "steps"], 0),
        (["settings", "order"], ["confidence"]),
        (["settings", "temperature"], "hot"),
        (["settings"], []),
        (["bundle"], "x"),
        (["task"], []),
        (["task", "kind"], "film"),
        (["task", "kind"], ["variation"]),
        (["task", "kind"], "inpainting"),
        (["task", "prompt"], 5),
        (["task", "prompt"], {}),
        (["task", "picture"], "0"),
        (["task", "picture"], -1),
        (["task", "micro_conditioning"], {"crop_top": "x"}),
        (["task", "micro_conditioning"], 7),
        (["task", "micro_conditioning"], {"crop_top": 10**400, "crop_left": 0, "aesthetic_score": 6}),
        (["task", "micro_conditioning"], {"crop_top": 1e300, "crop_left": 0, "aesthetic_score": 6}),
        (["task", "picture"], 2**64),
        (["task", "prompt"], "\ud800"),
        (["task", "more"], 1),
        (["bundle", "name"], "\ud800"),
        (["settings", "steps"], 10**400),
    ],
)
def test_damaged_parameters_are_refused(path: list[str], value: object) -> None:
    content = PARAMETERS.to_dict()
    inner: Any = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(StateError):
        PictureParameters.from_json(json.dumps(content)).restore()


def test_settings_that_came_later_are_named_only_where_they_are_on() -> None:
    """So that runtimes without them read everything else, and refuse what they would draw otherwise."""
    assert PARAMETERS.to_dict()["version"] == 1
    assert "entropy_bound" not in PARAMETERS.to_dict()["settings"]
    bound = replace(PARAMETERS, settings=SamplerSettings(steps=7, entropy_bound=2.5))
    content = bound.to_dict()
    assert (content["version"], content["settings"]["entropy_bound"]) == (3, 2.5)
    assert PictureParameters.from_dict(content) == bound
    assert bound.options().entropy_bound == 2.5
    for version, settings in (
        (1, content["settings"]),
        (2, content["settings"]),
        (3, PARAMETERS.to_dict()["settings"]),
    ):
        with pytest.raises(StateError, match="another format or version"):
            PictureParameters.from_dict({**content, "version": version, "settings": settings})


@pytest.mark.parametrize("strength", [[[0.5]], None, {}, "\ud800"])
def test_a_field_of_the_kind_must_be_plain(strength: object) -> None:
    content = PARAMETERS.to_dict()
    content["task"] |= {"kind": "variation", "image_sha256": "00", "strength": strength, "fit": "crop"}
    with pytest.raises(StateError):
        PictureParameters.from_dict(content)


def test_parameters_survive_the_round_trip() -> None:
    again = PictureParameters.from_json(PARAMETERS.to_json())
    assert again == PARAMETERS
    task = again.restore()
    assert (task.prompts, task.negative_prompts, task.first_picture) == (("ein Füchslein 🦊",), ("blau",), 0)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        PictureState.load(tmp_path / "none.json")


def test_the_task_is_a_record_that_writes_the_same_text() -> None:
    """It was a dictionary, whose names other files had to know; the text is that of files written before."""
    task = Inpainting("a", np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 255, np.uint8), micro_conditioning=MICRO)
    parameters = PictureParameters.of("some bundle", "ab" * 32, task, 1, SamplerSettings())
    expected = (
        '"task": {"kind": "inpainting", "prompt": "a", "negative_prompt": "", "picture": 0, '
        '"micro_conditioning": {"crop_top": 1.0, "crop_left": 2.0, "aesthetic_score": 3.0}, '
        f'"image_sha256": "{task.image_hashes[0]}", "mask_sha256": "{task.mask_hashes[0]}", '
        '"strength": 1.0, "fit": "crop", "coverage": "half", "paste_back": true, "feather": 0}'
    )
    assert expected in parameters.to_json()
    again = PictureParameters.from_json(parameters.to_json())
    assert again == parameters
    assert (again.task.kind, again.task.picture, again.task.micro_conditioning) == ("inpainting", 0, MICRO)
    assert again.restore(task) is not None


@pytest.mark.parametrize("steps", [None, "7"])
def test_fields_raise_the_error_of_whoever_reads(steps: object) -> None:
    """They knew that of bundles alone, which readers of states caught and raised anew, and their own with it."""
    content = json.loads(STATE.to_json())
    content["next_step"] = steps
    with pytest.raises(
        StateError, match=r"^the state is damaged \(state: 'next_step' is .*; it is damaged\); "
    ) as said:
        PictureState.from_json(rehashed(content))
    assert said.value.__cause__ is None
    with pytest.raises(StateError, match=r"^the parameters of a picture cannot be read: parameters lacks 'format'"):
        PictureParameters.from_dict({})
