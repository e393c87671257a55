"""Little memory, remembered conditioning, and one pipeline for several threads, on the demo bundle."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    EngineOptions,
    GenerationOptions,
    GraphError,
    Inpainting,
    TextToImage,
)
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.tasks.kinds import Task
from tests.support.drawn import OTHER, PROMPT, QUICK, right_half


class Watched:
    """Counts the graphs that are loaded at once."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.most = 0
        self.history: list[str] = []

    def load(self, bundle: Any, role: str, options: Any) -> Any:
        graph = load_graph(bundle, role, options)
        self.loaded.append(role)
        self.history.append(role)
        self.most = max(self.most, len(self.loaded))
        watched = self

        class Counted:
            def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
                return graph(inputs)

            def close(self) -> None:
                watched.loaded.remove(role)
                graph.close()

        return Counted()


@pytest.mark.parametrize("kind", ["text", "inpainting"])
def test_with_little_memory_one_graph_is_loaded_at_a_time(
    kind: str, demo_bundle: Path, pipeline: AmusedPipeline, fox: Any
) -> None:
    from amused_edge.runtime.bundle.folder import Bundle

    watched = Watched()
    task: Task = TextToImage(PROMPT, pictures_per_prompt=2)
    if kind == "inpainting":
        task = Inpainting(PROMPT, fox, right_half(), pictures_per_prompt=2)
    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions.low_memory(), load=watched.load) as small:
        result = small.generate(task, QUICK)
        assert watched.loaded == []
        assert watched.most == 1
        roles = ["text_encoder", "conditioner", "denoiser", "image_decoder"]
        assert watched.history == (roles if kind == "text" else ["image_encoder", *roles])
        stream = small.stream(task, QUICK)
        next(stream)
        assert watched.loaded == ["denoiser"]
        stream.close()  # type: ignore[attr-defined]
        assert watched.loaded == []
    assert np.array_equal(result.images, pipeline.generate(task, QUICK).images)


def test_with_little_memory_many_pictures_come_in_batches(
    demo_bundle: Path, pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one prompt so many are drawn, then decoded; the next ones are not begun before."""
    monkeypatch.setattr("amused_edge.runtime.drawing.task_drawing.LOW_MEMORY_BATCH", 2)
    seen: list[int] = []
    task = TextToImage([PROMPT, OTHER], pictures_per_prompt=3)
    one = GenerationOptions(steps=1)
    with AmusedPipeline.from_bundle(demo_bundle, EngineOptions.low_memory(), verify=False) as small:
        pictures = small.pictures(task, one, on_step=lambda index, _: seen.append(index))
        first = next(pictures)
        assert seen == [0, 1]
        rest = list(pictures)
    assert seen == list(range(6))
    expected = pipeline.generate(task, one)
    assert np.array_equal(np.stack([first.tokens, *(p.tokens for p in rest)]), expected.tokens)


def test_conditioning_is_remembered_within_bounds(demo_bundle: Path) -> None:
    from amused_edge.runtime.bundle.folder import Bundle

    calls: list[int] = []

    def load(bundle: Any, role: str, options: Any) -> Any:
        graph = load_graph(bundle, role, options)
        if role != "text_encoder":
            return graph

        class Counting:
            def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
                calls.append(1)
                return graph(inputs)

            def close(self) -> None:
                graph.close()

        return Counting()

    one = GenerationOptions(steps=1, guidance_scale=2.0)
    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions(remembered_prompts=2), load=load) as counted:
        counted.generate([PROMPT] * 3, one)
        assert len(calls) == 2  # the prompt and the empty negative prompt
        counted.generate([OTHER, PROMPT], one)
        assert len(calls) == 4  # the negative prompt stays because it is used last; PROMPT had to go for OTHER
    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions(remembered_prompts=0), load=load) as forgetful:
        calls.clear()
        forgetful.generate([PROMPT] * 2, one)
        assert len(calls) == 4


def test_one_pipeline_serves_several_threads(demo_bundle: Path, pipeline: AmusedPipeline) -> None:
    """Each with its own prompt and seed, all at once, with graphs kept and with little memory."""
    jobs = [(prompt, GenerationOptions(seed=seed, steps=3)) for seed in (1, 2) for prompt in (PROMPT, OTHER, "")]
    expected = [pipeline.generate(*job).images for job in jobs]
    for engine in (EngineOptions(threads=1), EngineOptions.low_memory(threads=1)):
        with AmusedPipeline.from_bundle(demo_bundle, engine, verify=False) as shared, ThreadPoolExecutor(6) as pool:
            alone = [shared.generate(*job).images for job in jobs]
            drawn = list(pool.map(lambda job, p=shared: p.generate(*job).images, jobs))
        for wanted, one, found in zip(expected, alone, drawn, strict=True):
            assert np.array_equal(one, found)
            assert np.mean(np.abs(wanted.astype(int) - found)) < 20  # other thread counts may round otherwise


def test_closing_while_another_thread_draws_ends_its_run(demo_bundle: Path) -> None:
    shared = AmusedPipeline.from_bundle(demo_bundle, verify=False)
    reached = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(shared.generate, PROMPT, GenerationOptions(steps=10_000), on_step=lambda *_: reached.set())
        assert reached.wait(60)
        shared.close()
        with pytest.raises(GraphError, match="closed"):
            run.result(timeout=60)
