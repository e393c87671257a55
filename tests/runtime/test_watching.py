"""Watching a picture come to be, and stopping it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    Cancellation,
    GenerationCancelledError,
    GenerationOptions,
    Inpainting,
    Step,
    TextToImage,
)
from tests.support.drawn import OTHER, PROMPT, QUICK, SIDE


def test_probabilities_are_those_of_the_draw(pipeline: AmusedPipeline) -> None:
    """Against softmax in float64, at the step that drew each token."""
    expected = np.zeros((16, 16))
    before = np.full((16, 16), 319)
    conditioning = pipeline.condition(["", PROMPT])
    scale = pipeline.settings(QUICK).guidance_scale
    for step in pipeline.stream(PROMPT, QUICK):
        rows = np.flatnonzero(before == 319)
        logits = pipeline.guided_logits(before, rows, conditioning, scale).astype(np.float64)
        softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        expected.reshape(-1)[rows] = softmax[np.arange(len(rows)), step.predicted[0].reshape(-1)[rows]]
        np.testing.assert_allclose(step.probability[0], expected, rtol=1e-3, atol=1e-6)
        before = step.tokens[0]
    result = pipeline.generate(PROMPT, QUICK)
    assert np.array_equal(result.probability, step.probability)


def test_a_preview_is_the_decoded_prediction(pipeline: AmusedPipeline) -> None:
    steps = list(pipeline.stream(PROMPT, QUICK))
    for step in (steps[0], steps[-1]):
        assert np.array_equal(pipeline.preview(step), pipeline.decode(step.predicted))


def test_pictures_come_one_by_one(pipeline: AmusedPipeline) -> None:
    """Nothing of the second is drawn before the first was given."""
    seen: list[int] = []
    task = TextToImage([PROMPT, OTHER], pictures_per_prompt=2)
    pictures = pipeline.pictures(task, QUICK, on_step=lambda index, _: seen.append(index))
    first = next(pictures)
    assert seen == [0] * 4
    rest = list(pictures)
    assert seen == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    expected = pipeline.generate(task, QUICK).images
    assert np.array_equal(np.stack([first.image, *(p.image for p in rest)]), expected)
    assert rest[-1].parameters.task.prompt == OTHER


# --- Cancelling.


def test_a_cancelled_run_stops_at_once(pipeline: AmusedPipeline) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    steps: list[int] = []
    with pytest.raises(GenerationCancelledError):
        pipeline.generate(PROMPT, QUICK, on_step=lambda *_: steps.append(1), cancellation=cancellation)
    assert steps == []
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    with pytest.raises(GenerationCancelledError):
        pipeline.generate(Inpainting(PROMPT, black, black[:, :, 0]), QUICK, cancellation=cancellation)


def test_a_run_is_cancelled_within_a_step_by_another_thread(pipeline: AmusedPipeline) -> None:
    """With a step count that would take far longer than this test; the next run is not affected."""
    cancellation = Cancellation()
    threads = threading.active_count()
    reached = threading.Event()

    def on_step(_: int, step: Step) -> None:
        reached.set()

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            pipeline.generate,
            PROMPT,
            GenerationOptions(steps=10_000, schedule="linear"),
            on_step=on_step,
            cancellation=cancellation,
        )
        assert reached.wait(60)
        cancellation.cancel()
        with pytest.raises(GenerationCancelledError, match="cancelled"):
            run.result(timeout=60)
    assert threading.active_count() == threads
    assert len(pipeline.generate(PROMPT, QUICK).images) == 1


def test_the_engine_itself_is_stopped(pipeline: AmusedPipeline) -> None:
    """A call of a graph that has begun ends with the cancellation: the engine is told, here as soon as it runs."""
    cancellation = Cancellation()
    graph: Any = pipeline.graph("image_decoder")
    inputs = {"tokens": np.zeros((64, 16, 16), np.int64)}
    begin = time.perf_counter()
    graph(inputs)
    whole = time.perf_counter() - begin
    timer = threading.Timer(whole / 10, cancellation.cancel)
    timer.start()
    with pytest.raises(GenerationCancelledError):
        graph(inputs, cancellation)
    timer.join()
    assert not cancellation._running
    assert graph(inputs)["image"].shape == (64, SIDE, SIDE, 3)


def test_the_caller_may_stop_between_steps(pipeline: AmusedPipeline) -> None:
    stream = pipeline.stream(PROMPT, GenerationOptions(steps=1000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(pipeline.generate(PROMPT, QUICK).images) == 1
