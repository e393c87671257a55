"""What `amused-edge generate` is asked for: records of its options."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from inspect import signature
from typing import Any

import pytest

from amused_edge.cli import task_request
from amused_edge.cli.generate import generate
from amused_edge.cli.outputs import OutputRequest
from amused_edge.cli.task_request import TaskRequest
from amused_edge.runtime import GenerationOptions, Inpainting, TextToImage, Variation, outpainting


def test_each_option_of_generate_is_asked_for_once() -> None:
    """They went through six functions in a dict, whose keys nothing checked."""
    task, output = ({field.name for field in fields(kind)} for kind in (TaskRequest, OutputRequest))
    assert not task & output
    own = {"bundle", "threads", "low_memory", "cache", "simulate", "quiet", "ray", "plan", "latency"}
    assert {parameter.name for parameter in generate.params} == task | output | own


def test_a_request_does_not_change() -> None:
    request = OutputRequest(None, None, None, None, False, False, None, None)
    with pytest.raises(FrozenInstanceError):
        request.columns = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "build"),
    [
        ("text_to_image", TextToImage),
        ("variation", Variation),
        ("inpainting", Inpainting),
        ("outpainting", outpainting),
    ],
)
def test_the_options_of_a_kind_are_those_of_its_task(kind: str, build: Callable[..., Any]) -> None:
    takes = set(signature(build).parameters)
    assert set(task_request._OWN[kind]) == takes & set(task_request._OWN["inpainting"])


def test_options_of_the_loop_have_the_names_of_its_record() -> None:
    assert set(task_request._SETTINGS.values()) == {field.name for field in fields(GenerationOptions)}
