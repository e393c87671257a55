"""Prompts, negative prompts and the order of pictures."""

import dataclasses
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pipeline import _as_task
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage, Variation, outpainting

BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompts": 5}, "prompt is 5; it must be a string or a list of strings"),
    ({"prompts": None}, "prompt is None; it must be a string or a list of strings"),
    ({"prompts": b"fox"}, "prompt is b'fox'; it must be a string or a list of strings"),
    ({"prompts": {"fox"}}, "prompt is {'fox'}; it must be a string or a list of strings"),
    ({"prompts": []}, "no prompt was given; give at least one"),
    ({"prompts": ["fox", 5]}, "prompt is 5; it must be a string"),
    ({"prompts": "fox", "negative_prompts": 5}, "negative prompt is 5; it must be a string or a list of strings"),
    ({"prompts": "fox", "negative_prompts": []}, "no negative prompt was given; give at least one"),
    (
        {"prompts": ["a", "b", "c"], "negative_prompts": ["x", "y"]},
        "2 negative prompts for 3 prompts; give one for all, or one per prompt",
    ),
    (
        {"prompts": "a", "negative_prompts": ["x", "y"]},
        "2 negative prompts for 1 prompts; give one for all, or one per prompt",
    ),
    ({"prompts": "a", "pictures_per_prompt": 0}, "pictures_per_prompt is 0; it must be 1 or more"),
    ({"prompts": "a", "pictures_per_prompt": 1.0}, "pictures_per_prompt is 1.0; it must be a whole number"),
    ({"prompts": "a", "first_picture": -1}, "first_picture is -1; it must be 0 or more"),
    (
        {"prompts": "a", "first_picture": 2**64 - 1, "pictures_per_prompt": 2},
        f"picture {2**64} was asked for; indices of pictures are below 2^64",
    ),
    ({"prompts": "a", "first_picture": True}, "first_picture is True; it must be a whole number"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_tasks_are_refused_when_built(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsError) as error:
        TextToImage(**arguments)
    assert str(error.value) == message


def test_one_negative_prompt_serves_all() -> None:
    """The reference crashes on one negative prompt with several prompts."""
    assert TextToImage(["a", "b"], "blurry").negative_prompts == ("blurry", "blurry")
    assert TextToImage(["a", "b"], ["blurry"]).negative_prompts == ("blurry", "blurry")


def test_the_negative_prompt_defaults_to_the_empty_one() -> None:
    assert TextToImage(["a", "b"]).negative_prompts == ("", "")


def test_the_empty_string_is_a_prompt() -> None:
    assert TextToImage("").prompts == ("",)


def test_pictures_come_prompt_by_prompt() -> None:
    """The reference gives p1, p2, p1, p2."""
    task = TextToImage(["a", "b"], pictures_per_prompt=2, first_picture=3)
    assert task.pictures() == [(0, 3), (0, 4), (1, 3), (1, 4)]


@pytest.mark.parametrize("bare", ["a", ["a"], ("a",)])
def test_bare_prompts_are_wrapped(bare: Any) -> None:
    assert _as_task(bare) == TextToImage("a")


def test_a_task_is_passed_on_as_it_is() -> None:
    task = TextToImage("a", "b", 2)
    assert _as_task(task) is task


def test_a_kind_takes_what_all_tasks_share() -> None:
    """The arguments were written out four times; now each kind hands on what it is given."""
    fox, mask = np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 255, np.uint8)
    common = {
        "negative_prompts": "blue",
        "pictures_per_prompt": 2,
        "first_picture": 3,
        "micro_conditioning": MicroConditioning(1, 2, 3),
    }
    tasks: list[Task] = [
        TextToImage("a", **common),  # type: ignore[arg-type]
        Variation("a", fox, **common),  # type: ignore[arg-type]
        Inpainting("a", fox, mask, **common),  # type: ignore[arg-type]
        outpainting("a", fox, **common),  # type: ignore[arg-type]
    ]
    for task in tasks:
        assert (task.negative_prompts, task.micro_conditioning) == (("blue",), MicroConditioning(1, 2, 3))
        assert task.pictures() == [(0, 3), (0, 4)]
        with pytest.raises(FrozenInstanceError):
            task.first_picture = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="pictures_per_promt"):
        Variation("a", fox, pictures_per_promt=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [TextToImage, Variation, Inpainting])
def test_a_kind_owns_its_fields(kind: type[Task]) -> None:
    """Three tables beside the kinds said which they are."""
    fields = {field.name for field in dataclasses.fields(kind)} - {field.name for field in dataclasses.fields(Task)}
    given = {f"{name}{end}" for name in kind.sources for end in ("s", "_hashes")}
    assert fields == given | set(kind.own)


def test_tasks_are_equal_when_all_that_is_drawn_from_is() -> None:
    """Pictures, masks and what a kind alone has were not compared."""
    dark, light = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)
    task = Inpainting("a", dark, dark[..., 0], feather=1)
    assert task == Inpainting("a", dark.copy(), dark[..., 0], feather=1)
    assert hash(task) == hash(Inpainting("a", dark.copy(), dark[..., 0], feather=1))
    others = [
        Inpainting("a", light, dark[..., 0], feather=1),
        Inpainting("a", dark, light[..., 0], feather=1),
        Inpainting("a", dark, dark[..., 0], feather=2),
    ]
    assert task not in others
    assert Variation("a", dark) != Variation("a", light)
    assert Variation("a", dark) != Variation("a", dark, 0.25)
