"""Which graphs are called for a picture, how often, who may cancel them, and what is remembered of what they gave."""

from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedPipeline,
    Cancellation,
    EngineOptions,
    GenerationOptions,
    PromptWeights,
    TextToImage,
    Variation,
)
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.drawing import task_drawing
from amused_edge.runtime.drawing.conditioning import Branches
from amused_edge.runtime.engines.rows import OneByOne
from amused_edge.runtime.errors import GenerationCancelledError
from amused_edge.runtime.sampling.mask_predict import Step
from tests.support.function_graphs import PICTURE, Calls, FunctionGraph, decoded, encoded
from tests.support.paths import TINY_BUNDLE


def test_how_often_each_graph_is_called(pipeline: AmusedPipeline, calls: Calls) -> None:
    """A prompt is encoded once; the first step's logits, those of both branches, are remembered. Whoever may cancel can
    do so in every call.
    """
    cancellation = Cancellation()
    task, options = TextToImage(["a fox", "a boat"], pictures_per_prompt=2), GenerationOptions(seed=5, steps=3)
    assert len(list(pipeline.pictures(task, options, cancellation=cancellation))) == 4
    rows = [(role, count) for role, count, _ in calls]
    assert rows.count(("text_encoder", 1)) == rows.count(("conditioner", 1)) == 3
    assert rows.count(("denoiser", 2)) == 4 * 2 + 2
    assert rows.count(("image_decoder", 1)) == 4
    assert len(rows) == 20
    assert {id(given) for _, _, given in calls} == {id(cancellation)}
    calls.clear()
    list(pipeline.pictures(task, options))
    assert {given for _, _, given in calls} == {None}
    assert [role for role, _, _ in calls if role in ("text_encoder", "conditioner")] == []


@pytest.mark.parametrize("of", ["pictures", "stream"])
def test_cancelled_before_anything_runs(pipeline: AmusedPipeline, calls: list[Any], of: str) -> None:
    """Also where the task needs no step, or all was remembered."""
    list(pipeline.pictures("a fox", GenerationOptions(steps=1)))
    calls.clear()
    cancellation = Cancellation()
    cancellation.cancel()
    for task in (TextToImage("a fox"), Variation("a fox", PICTURE, 0.5)):
        with pytest.raises(GenerationCancelledError):
            next(iter(getattr(pipeline, of)(task, GenerationOptions(steps=1), cancellation=cancellation)))
    assert calls == []


def test_steps_are_told_with_their_picture(pipeline: AmusedPipeline) -> None:
    told: list[tuple[int, int]] = []

    def stepped(index: int, step: Step) -> None:
        told.append((index, step.index))

    list(pipeline.pictures(TextToImage("a fox", pictures_per_prompt=2), GenerationOptions(steps=2), on_step=stepped))
    assert told == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_nothing_is_remembered_after_the_end(pipeline: AmusedPipeline) -> None:
    list(pipeline.pictures(Variation("a fox", PICTURE, 0.5), GenerationOptions(steps=2)))
    drawing = pipeline._drawing
    kept = (
        drawing._first_step._remembered,
        drawing._canvas._fitted,
        drawing._canvas._tokens,
        pipeline._condition._remembered,
    )
    list(pipeline.pictures("a fox", GenerationOptions(steps=1)))
    assert all(each._values for each in kept)
    pipeline.close()
    for each in kept:
        assert each.put("key", each) is each  # type: ignore[arg-type]
        assert each.get("key") is None


def test_a_variation_can_be_cancelled_in_every_call(pipeline: AmusedPipeline, calls: Calls) -> None:
    cancellation = Cancellation()
    task = Variation("a fox", PICTURE, 0.6)
    assert len(list(pipeline.pictures(task, GenerationOptions(steps=3), cancellation=cancellation))) == 1
    assert "image_encoder" in {role for role, _, _ in calls}
    assert {id(given) for _, _, given in calls} == {id(cancellation)}


def test_every_call_can_be_cancelled_however_pictures_are_drawn(calls: Calls) -> None:
    """One after the other with little memory, side by side, gone on with; where each row is called by itself, too."""

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        graph = FunctionGraph(role, calls)
        return OneByOne(role, graph) if role == "denoiser" else graph

    task, options = TextToImage("a fox", pictures_per_prompt=2), GenerationOptions(steps=2)
    for engine in (EngineOptions(), EngineOptions.low_memory()):
        for draw in ("pictures", "stream", "resume"):
            with AmusedPipeline(Bundle.open(TINY_BUNDLE), engine, load=load) as pipeline:
                (state, _), cancellation = pipeline.begin(task, options), Cancellation()
                calls.clear()
                given = (state,) if draw == "resume" else (task, options)
                assert len(list(getattr(pipeline, draw)(*given, cancellation=cancellation))) == 2
            assert {role for role, _, _ in calls} >= {"text_encoder", "conditioner", "denoiser"}
            assert {id(given) for _, _, given in calls} == {id(cancellation)}


def test_without_guidance_nothing_is_asked_of_the_negative_prompt(pipeline: AmusedPipeline, calls: Calls) -> None:
    next(pipeline.pictures(TextToImage("a fox", "blue"), GenerationOptions(steps=1, guidance_scale=1.0)))
    assert [(role, rows) for role, rows, _ in calls if role != "image_decoder"] == [
        ("text_encoder", 1),
        ("conditioner", 1),
        ("denoiser", 1),
    ]


def test_ids_and_weights_are_of_the_types_that_graphs_take(pipeline: AmusedPipeline) -> None:
    ids, weights = pipeline.tokenizer.weighted(PromptWeights("a (fox:1.5)"))
    assert (ids.dtype, weights.dtype, pipeline.tokenizer(["a"]).dtype) == (np.int64, np.float32, np.int64)


def test_pictures_that_need_no_step(pipeline: AmusedPipeline, calls: Calls) -> None:
    """They are what the codes of the picture say."""
    task = Variation("a fox", PICTURE, 0.5, pictures_per_prompt=2)
    pictures = list(pipeline.pictures(task, GenerationOptions(steps=1)))
    assert [picture.parameters.task.picture for picture in pictures] == [0, 1]
    for picture in pictures:
        assert np.array_equal(picture.image, decoded(encoded(PICTURE)))
    assert {role for role, _, _ in calls} == {"image_encoder", "image_decoder"}


@pytest.mark.parametrize(("batch", "batches"), [(16, 1), (2, 2)])
def test_where_one_graph_is_loaded_at_a_time(
    batch: int, batches: int, pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves all pictures of a prompt, or as many as memory allows; what is drawn is the same."""
    monkeypatch.setattr(task_drawing, "LOW_MEMORY_BATCH", batch)
    loaded: list[str] = []

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        loaded.append(role)
        return FunctionGraph(role, [])

    task, options = TextToImage(["a fox", "a boat"], pictures_per_prompt=3), GenerationOptions(seed=5, steps=2)
    told: list[int] = []
    with AmusedPipeline(Bundle.open(TINY_BUNDLE), EngineOptions.low_memory(), load=load) as low:
        pictures = list(low.pictures(task, options, on_step=lambda index, step: told.append(index)))
    assert told == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (loaded.count("denoiser"), loaded.count("image_decoder")) == (2 * batches, 2 * batches)
    for picture, other in zip(pictures, pipeline.pictures(task, options), strict=True):
        assert np.array_equal(picture.image, other.image)


def test_weights_that_weigh_nothing_take_no_second_text(pipeline: AmusedPipeline, calls: Calls) -> None:
    plain = next(pipeline.pictures("a fox", GenerationOptions(steps=1, guidance_scale=1.0)))
    for text, texts in (("a (fox:1)", 1), ("a (fox:1.5)", 2)):
        calls.clear()
        weighted = next(pipeline.pictures(PromptWeights(text), GenerationOptions(steps=1, guidance_scale=1.0)))
        assert [role for role, _, _ in calls].count("text_encoder") == texts
        assert np.array_equal(weighted.tokens, plain.tokens) == (texts == 1)


def test_a_scale_of_one_asks_for_the_prompt_alone() -> None:
    both = Branches({"c": np.arange(6).reshape(2, 3)}, ("", "a fox"))
    assert both.of(1.01) is both
    assert (both.of(1.0).names, both.of(1.0).values["c"].tolist()) == (("a fox",), [[3, 4, 5]])
