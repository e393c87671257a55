"""How graphs are put together to a picture, with graphs that are plain functions of float64; the loop itself, which has
tests of its own, is asked with the logits that the formulas give.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import (
    AmusedEdgeWarning,
    AmusedPipeline,
    GenerationOptions,
    Inpainting,
    MicroConditioning,
    OptionsError,
    PictureState,
    PromptEmbeddings,
    StateError,
    TextToImage,
    Variation,
)
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.tasks.clip import Clip, ClipFrame
from amused_edge.runtime.tasks.kinds import Task
from tests.support.function_graphs import (
    GRID,
    MASK,
    MASKED,
    PICTURE,
    Calls,
    condition,
    decoded,
    encoded,
    logits_of,
    text,
)
from tests.support.paths import TINY_BUNDLE
from tests.support.vectors import stream


def value_of(pipeline: AmusedPipeline, prompt: str, micro: MicroConditioning) -> Any:
    hidden, pooled = (part.astype(np.float32) for part in text(pipeline.tokenizer([prompt])[0]))
    row = np.array([12, 8, micro.crop_top, micro.crop_left, micro.aesthetic_score], np.float32)
    return condition(hidden, pooled, row).astype(np.float32)


def expected(
    pipeline: AmusedPipeline,
    task: Task,
    options: GenerationOptions,
    start: Any,
    first: int,
    share: float,
    noise_step: int = 0,
) -> Any:
    """The last step of the task's picture, from its start on."""
    settings = pipeline.settings(options, task)
    micro = task.micro_conditioning or MicroConditioning()
    values = [value_of(pipeline, str(text), micro) for text in (task.negative_prompts[0], task.prompts[0])]

    def denoise(_: int, step: int, tokens: Any, rows: Any) -> Any:
        scale = np.float32(settings.guidance_at(step))
        without, with_prompt = (logits_of(tokens, value).astype(np.float32)[rows] for value in values)
        return with_prompt if scale <= 1 else without + scale * (with_prompt - without)

    steps = mask_predict(
        denoise,
        start[None],
        [task.first_picture],
        seed=options.seed,
        settings=settings,
        mask_token_id=MASKED,
        starting_mask_ratio=[share],
        first_step=first,
        noise_step=noise_step,
    )
    *_, last = steps
    return last


@pytest.mark.parametrize("micro", [None, MicroConditioning(2, 3, 5)])
@pytest.mark.parametrize(
    "options",
    [
        GenerationOptions(seed=5, steps=4),
        GenerationOptions(seed=5, steps=4, guidance_scale=1.0),
        GenerationOptions(
            seed=2**63, steps=5, guidance_scale=3.0, guidance_ramp="linear", guidance_interval=(0.0, 0.7)
        ),
        GenerationOptions(seed=1, steps=3, order="moment", entropy_bound=3.0, guidance_scale=1.5),
    ],
)
def test_a_picture_of_text(
    pipeline: AmusedPipeline, options: GenerationOptions, micro: MicroConditioning | None
) -> None:
    task = TextToImage("a fox", "blue", first_picture=3, micro_conditioning=micro)
    picture = next(pipeline.pictures(task, options))
    last = expected(pipeline, task, options, np.full(GRID, MASKED), 0, 1.0)
    assert np.array_equal(picture.tokens, last.tokens[0])
    assert np.array_equal(picture.probability, last.probability[0])
    assert np.array_equal(picture.image, decoded(last.tokens[0]))
    assert (picture.parameters.task.picture, picture.prompt) == (3, "a fox")


@pytest.mark.parametrize(("strength", "first"), [(0.8, 1), (0.6, 2), (0.2, 4)])
def test_a_variation(pipeline: AmusedPipeline, strength: float, first: int) -> None:
    options = GenerationOptions(seed=9, steps=5, guidance_scale=2.0)
    task = Variation("a fox", PICTURE, strength, first_picture=2)
    noise = stream("9", "2", 0, 2, 24).reshape(GRID) / 2**24  # of purpose 2, starts
    start = np.where(noise < np.float32(1) - np.float32(first) / np.float32(5), MASKED, encoded(PICTURE))
    (state,) = pipeline.begin(task, options)
    assert np.array_equal(state.tokens, start)
    assert (state.next_step, state.starting_mask_ratio) == (first, 1.0)
    assert (state.probability == 1).all()
    picture = next(pipeline.pictures(task, options))
    assert np.array_equal(picture.tokens, expected(pipeline, task, options, start, first, 1.0).tokens[0])
    assert np.array_equal(picture.image, decoded(picture.tokens))


@pytest.mark.parametrize(("strength", "first"), [(1.0, 0), (0.5, 2)])
@pytest.mark.parametrize("paste_back", [True, False])
def test_an_inpainting(pipeline: AmusedPipeline, strength: float, first: int, paste_back: bool) -> None:
    options = GenerationOptions(seed=9, steps=4)
    task = Inpainting("a fox", PICTURE, MASK, strength, coverage="any", paste_back=paste_back)
    start = encoded(PICTURE).astype(np.int64)
    start[:, 4:] = MASKED
    picture = next(pipeline.pictures(task, options))
    last = expected(pipeline, task, options, start, first, float(np.float32(1 / 3)))
    assert np.array_equal(picture.tokens, last.tokens[0])
    assert np.array_equal(picture.image[:, 8:], decoded(last.tokens[0])[:, 8:])
    kept = PICTURE if paste_back else decoded(last.tokens[0])
    assert np.array_equal(picture.image[:, :8], kept[:, :8])


def test_side_by_side_from_where_each_is(pipeline: AmusedPipeline) -> None:
    """One is finished and stays as it is; the other goes on."""
    options = GenerationOptions(seed=5, steps=3)
    task = Inpainting(["a fox", "a boat"], PICTURE, [np.zeros_like(MASK), MASK])
    with pytest.warns(AmusedEdgeWarning, match="covers no token"):
        *_, last = pipeline.stream(task, options)
    assert np.array_equal(last.tokens[0], encoded(PICTURE))
    alone = next(pipeline.pictures(task.single(1, 0), options))
    assert np.array_equal(last.tokens[1], alone.tokens)


def test_pictures_and_tokens_that_are_none(pipeline: AmusedPipeline) -> None:
    assert np.array_equal(
        pipeline.decode(np.full((2, *GRID), 31, np.int32)), np.stack([decoded(np.full(GRID, 31))] * 2)
    )
    assert pipeline.encode(PICTURE[None]).dtype == np.int64
    for tokens in (np.full((1, *GRID), 32), np.full((1, *GRID), -1)):
        with pytest.raises(OptionsError, match=f"tokens range from {tokens.min()} to {tokens.max()}; .* 0 to 31"):
            pipeline.decode(tokens)
    for tokens in (np.zeros(GRID, np.int64), np.zeros((0, *GRID), np.int64), np.zeros((1, *GRID))):
        with pytest.raises(OptionsError, match=r"tokens are .*; give whole numbers with 3 axes"):
            pipeline.decode(tokens)
    with pytest.raises(OptionsError, match=r"images are uint8 of shape .* with 4 axes"):
        pipeline.encode(PICTURE)


def test_embeddings_of_another_size(pipeline: AmusedPipeline) -> None:
    """Also as the negative prompt."""
    good = pipeline.embed("a fox")
    for other, says in (
        (
            PromptEmbeddings(good.hidden_states[:5], good.pooled),
            r"hidden_states .* \[5, 24\]; this bundle takes \[77, 24\]",
        ),
        (PromptEmbeddings(good.hidden_states, good.pooled[:3]), r"pooled .* \[3\]; this bundle takes \[16\]"),
    ):
        for task in (TextToImage(other), TextToImage("a fox", other)):
            with pytest.raises(OptionsError, match=says):
                pipeline.pictures(task)
    first = next(pipeline.pictures(TextToImage(good), GenerationOptions(steps=2)))
    assert np.array_equal(first.tokens, next(pipeline.pictures("a fox", GenerationOptions(steps=2))).tokens)


def test_states_that_the_bundle_cannot_have(pipeline: AmusedPipeline, calls: Calls) -> None:
    (state,) = pipeline.begin("a fox", GenerationOptions(steps=2))
    known = state.tokens.copy()
    known[0, :2] = 0, 31
    assert next(pipeline.resume(replace(state, tokens=known))).index == 0
    never = np.where(known == MASKED, -1, 0)
    assert next(pipeline.resume(replace(state, tokens=known, known_since=never))).index == 0
    with pytest.raises(StateError, match="not sure which of its tokens are masked"):
        pipeline.resume(replace(state, tokens=known, known_since=np.full(GRID, -1)))
    for tokens in (np.full((6, 4), MASKED), np.where(known == 31, 32, known), np.where(known == 31, -1, known)):
        with pytest.raises(StateError, match="tokens that the bundle does not have"):
            pipeline.resume(replace(state, tokens=tokens, probability=np.ones(tokens.shape, np.float32)))
    with pytest.raises(StateError, match="tokens that are masked"):
        pipeline.resume(replace(state, next_step=2, tokens=known))
    (new,) = pipeline.begin("what was not drawn before", GenerationOptions(steps=2))
    done = PictureState(new.parameters, 2, np.full(GRID, 31), state.probability)
    calls.clear()
    assert list(pipeline.resume(done)) == calls == []
    other = replace(state, parameters=replace(state.parameters, bundle_sha256="0" * 64))
    with pytest.raises(StateError, match=r"hash 000000000000, this one has [0-9a-f]{12}; use the same bundle"):
        pipeline.resume(other)


def test_proportions_of_a_picture(pipeline: AmusedPipeline) -> None:
    with pytest.raises(OptionsError, match="other proportions"):
        pipeline.pictures(Variation("a fox", PICTURE[:, :8], fit="exact"))
    assert Path(pipeline.bundle.path) == TINY_BUNDLE


def test_guided_logits() -> None:
    """`u + s (c - u)`; up to a scale of 1 the prompt's own, to the last bit."""
    without, with_prompt = np.float32([[1e8, 0.3]]), np.float32([[1.0, 0.7]])
    for scale in (0.0, 0.5, 1.0):
        assert guided([without, with_prompt], scale) is with_prompt
    assert guided([with_prompt], 3.0) is with_prompt
    np.testing.assert_allclose(guided([without, with_prompt], 3.0), [[3 - 2e8, 1.5]], rtol=1e-6)


def test_frames_of_a_clip_have_noise_of_their_own(pipeline: AmusedPipeline) -> None:
    """What a state is of decides: the same grid of the second frame is drawn with other numbers."""
    options = GenerationOptions(seed=5, steps=2)
    (state,) = pipeline.begin("a fox", options)
    frame = replace(state.parameters, clip=ClipFrame(Clip(3), 1, "cosine"))
    (_, first), (_, second) = (pipeline.resume(replace(state, parameters=each)) for each in (state.parameters, frame))
    assert (first.tokens != second.tokens).any()
    last = expected(pipeline, TextToImage("a fox"), options, state.tokens, 0, 1.0, frame.noise_step)
    assert np.array_equal(second.tokens, last.tokens)


def test_going_on_remembers_how_sure_tokens_were(pipeline: AmusedPipeline) -> None:
    options = GenerationOptions(seed=5, steps=4)
    first, *_, last = pipeline.stream("a fox", options)
    (begun,) = pipeline.begin("a fox", options)
    assert begun.probability.dtype == np.float32
    *_, resumed = pipeline.resume(begun.after(first))
    assert np.array_equal(resumed.probability, last.probability)
    assert (last.probability[~first.mask] < 1).any()
