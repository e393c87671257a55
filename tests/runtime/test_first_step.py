"""The first step's logits, kept for prompts that come again: how often the denoiser is called, and equal pictures."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    EngineOptions,
    GenerationOptions,
    MicroConditioning,
    TextToImage,
    Variation,
)
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import Graph, load_graph
from amused_edge.runtime.engines.onnx.session import OnnxRuntimeGraph
from amused_edge.runtime.engines.parallel_rows import ParallelRows
from amused_edge.runtime.engines.rows import OneByOne
from amused_edge.runtime.tasks.kinds import Task
from tests.support.drawn import OTHER, PROMPT
from tests.support.paths import TINY_BUNDLE

"""Random weights in float32: pictures of 12 x 8 pixels in no time."""

GUIDED = GenerationOptions(seed=3, steps=2, guidance_scale=2.0)
Layout = Callable[[Callable[[int], Graph]], Graph]


class Counting:
    """Counts the rows of each call, and passes them on."""

    def __init__(self, graph: Graph, calls: list[int]) -> None:
        self._graph, self._calls = graph, calls

    def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
        self._calls.append(len(inputs["tokens"]))
        return self._graph(inputs, cancellation)

    def close(self) -> None:
        self._graph.close()


class Counted:
    """A pipeline whose denoiser's calls are counted."""

    def __init__(self, layout: Layout, engine: EngineOptions) -> None:
        self.calls: list[int] = []

        def load(opened: Bundle, role: str, options: EngineOptions) -> Graph:
            def counted(threads: int) -> Graph:
                graph = OnnxRuntimeGraph(opened, role, replace(options, threads=threads))
                return Counting(graph, self.calls)

            return layout(counted) if role == "denoiser" else load_graph(opened, role, options)

        self.pipeline = AmusedPipeline(Bundle.open(TINY_BUNDLE), engine, load=load)

    def draw(self, task: Task, options: GenerationOptions) -> tuple[list[int], Any]:
        """Return the rows of each call, and the tokens."""
        self.calls.clear()
        tokens = self.pipeline.generate(task, options).tokens
        return list(self.calls), tokens


LAYOUTS: dict[str, Layout] = {
    "all rows in a call": lambda load: load(1),
    "one by one": lambda load: OneByOne("denoiser", load(1)),
    "at the same time": lambda load: ParallelRows("denoiser", load, 2, 2),
}


@pytest.fixture(params=list(LAYOUTS), scope="module")
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture(scope="module")
def forgetful(layout: Layout) -> Iterator[Counted]:
    counted = Counted(layout, EngineOptions(remembered_prompts=0))
    yield counted
    counted.pipeline.close()


def test_only_what_is_not_remembered_is_computed(layout: Layout, forgetful: Counted) -> None:
    """Pictures of a prompt, guidance scales, steps and seeds share the logits; prompts, negative prompts,
    micro-conditions and numbers of branches do not.
    """
    whole = layout is LAYOUTS["all rows in a call"]
    pair = [2] if whole else [1, 1]  # the calls of a step
    new = pair if whole else [1]  # those of a step of which the negative prompt's row is known
    later = replace(GUIDED, seed=9, steps=3, guidance_scale=5.0, temperature=4.0, schedule="linear")
    alone = replace(GUIDED, guidance_scale=1.0)
    score = MicroConditioning(aesthetic_score=60.0)
    runs: list[tuple[Task, GenerationOptions, list[int]]] = [
        (TextToImage(PROMPT, pictures_per_prompt=3), GUIDED, pair + 3 * pair),
        (TextToImage(PROMPT, first_picture=7), later, 2 * pair),
        (TextToImage([OTHER, PROMPT]), GUIDED, new + 2 * pair),
        (TextToImage(PROMPT, "blue"), GUIDED, new + pair),
        (TextToImage(PROMPT, micro_conditioning=score), GUIDED, pair + pair),
        (TextToImage(PROMPT, pictures_per_prompt=2), alone, [1] + 2 * [1]),
        (TextToImage(""), GUIDED, (pair if whole else []) + pair),
    ]
    counted = Counted(layout, EngineOptions(remembered_prompts=40))
    for task, options, calls in runs:
        found, tokens = counted.draw(task, options)
        assert found == calls
        assert np.array_equal(tokens, forgetful.draw(task, options)[1])
    counted.pipeline.close()


def test_nothing_is_kept_of_grids_that_are_partly_known() -> None:
    counted = Counted(LAYOUTS["one by one"], EngineOptions())
    g = counted.pipeline.geometry
    noise = np.random.default_rng(0).integers(0, 255, (g.image_height, g.image_width, 3), np.uint8)
    task, options = Variation(PROMPT, noise, strength=0.5), GUIDED
    first = counted.draw(task, options)
    assert counted.draw(task, options)[0] == first[0] != []
    counted.pipeline.close()


def test_as_many_branches_are_kept_as_prompts(layout: Layout) -> None:
    counted = Counted(layout, EngineOptions(remembered_prompts=2))
    whole = layout is LAYOUTS["all rows in a call"]
    one = replace(GUIDED, steps=1)
    seen = [sum(counted.draw(TextToImage(prompt), one)[0]) for prompt in (PROMPT, PROMPT, OTHER, PROMPT)]
    assert seen == ([2, 0, 2, 2] if whole else [2, 0, 1, 1])  # the negative prompt's branch is the one used last
    counted.pipeline.close()


def test_with_little_memory_nothing_is_kept() -> None:
    counted = Counted(LAYOUTS["one by one"], EngineOptions.low_memory())
    assert counted.draw(TextToImage([PROMPT] * 2), replace(GUIDED, steps=1))[0] == [1] * 4
