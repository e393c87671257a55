"""Prompts for who has none."""

from amused_edge.benchmarks.subjects.prompts import BUILT_IN
from amused_edge.runtime.tasks.prompt_file import read_prompts
from tests.support.paths import ROOT


def test_the_built_in_prompts_are_64_different_ones() -> None:
    assert len(BUILT_IN) == len(set(BUILT_IN)) == 64
    for prompt in BUILT_IN:
        assert prompt == prompt.strip()
        assert "\n" not in prompt


def test_the_demos_prompts_can_be_read() -> None:
    """At least 64 of its own, since a model is best measured with what it knows."""
    assert len(set(read_prompts(ROOT / "demo" / "prompts.txt"))) >= 64
