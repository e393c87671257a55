"""How graphs are put together to a picture, with graphs that are plain functions of float64; the loop itself, which has
tests of its own, is asked with the logits that the formulas give.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime import (
    AmusedEdgeWarning,
    AmusedPipeline,
    Cancellation,
    EngineOptions,
    GenerationOptions,
    Inpainting,
    MicroConditioning,
    OptionsError,
    PictureState,
    PromptEmbeddings,
    PromptWeights,
    StateError,
    TextToImage,
    Variation,
)
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.drawing import task_drawing
from amused_edge.runtime.drawing.conditioning import Branches
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.engines.rows import OneByOne
from amused_edge.runtime.errors import GenerationCancelledError
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.tasks.clip import Clip, ClipFrame
from amused_edge.runtime.tasks.kinds import Task
from tests.support.paths import ROOT
from tests.support.vectors import stream

TINY = ROOT / "apps" / "web" / "test" / "browser" / "tiny-bundle"
GRID, CODES, MASKED = (4, 6), 32, 39
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (8, 12, 3), np.uint8)
MASK = np.zeros((8, 12), np.uint8)
MASK[:, 8:] = 255
Float = NDArray[np.float64]


def text(ids: Any) -> tuple[Float, Float]:
    """(77,) -> (77, 24), (16,)."""
    values = np.asarray(ids, np.float64)
    return np.sin(values[:, None] * 0.37 + np.arange(24)), np.cos(values.sum() * 0.01 + np.arange(16))


def condition(hidden: Any, pooled: Any, micro: Any) -> Float:
    """(77, 24), (16,), (5,) -> (1,)."""
    weights = np.array([0.01, 0.02, 0.3, 0.5, 0.7])
    return np.array([np.mean(hidden) * 9 + np.sum(pooled) + np.asarray(micro, np.float64) @ weights])


def logits_of(tokens: Any, value: Any) -> Float:
    """(4, 6), (1,) -> (24, 32)."""
    places, codes = np.ogrid[:24, :32]
    seen = np.sum(np.asarray(tokens) * np.arange(24).reshape(4, 6))
    return np.asarray(3 * np.sin(value[0] * (1 + places) + 0.7 * codes + 0.001 * seen))


def decoded(tokens: Any) -> Any:
    return np.repeat(np.repeat(np.asarray(tokens) * 7, 2, 0), 2, 1)[..., None].astype(np.uint8) + np.arange(
        3, dtype=np.uint8
    )


def encoded(image: Any) -> Any:
    return np.asarray(image)[::2, ::2, 0] // 8


Run = Callable[[Any], dict[str, Any]]
RUNS: dict[str, Run] = {
    "text_encoder": lambda row: dict(zip(("hidden_states", "pooled"), text(row["input_ids"]), strict=True)),
    "conditioner": lambda row: {"c": condition(row["hidden_states"], row["pooled"], row["micro_conditions"])},
    "denoiser": lambda row: {"logits": logits_of(row["tokens"], row["c"])},
    "image_decoder": lambda row: {"image": decoded(row["tokens"])},
    "image_encoder": lambda row: {"tokens": encoded(row["image"])},
}


class _Function:
    """A graph that is a function of each row."""

    def __init__(self, role: str, calls: list[tuple[str, int, Any]]) -> None:
        self._role, self._calls = role, calls

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, Any]:
        count = {len(value) for value in inputs.values()}
        assert len(count) == 1
        (rows,) = count
        self._calls.append((self._role, rows, cancellation))
        outputs = [RUNS[self._role]({name: value[i] for name, value in inputs.items()}) for i in range(rows)]
        stacked = {name: np.stack([row[name] for row in outputs]) for name in outputs[0]}
        return {
            name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in stacked.items()
        }

    def close(self) -> None: ...


@pytest.fixture
def calls() -> list[tuple[str, int, Any]]:
    return []


@pytest.fixture
def pipeline(calls: list[tuple[str, int, Any]]) -> Iterator[AmusedPipeline]:
    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        return _Function(role, calls)

    with AmusedPipeline(Bundle.open(TINY), EngineOptions(), load=load) as opened:
        yield opened


def value_of(pipeline: AmusedPipeline, prompt: str, micro: MicroConditioning) -> Any:
    hidden, pooled = (part.astype(np.float32) for part in text(pipeline.tokenizer([prompt])[0]))
    row = np.array([12, 8, micro.crop_top, micro.crop_left, micro.aesthetic_score], np.float32)
    return condition(hidden, pooled, row).astype(np.float32)


def expected(
    pipeline: AmusedPipeline, task: Task, options: GenerationOptions, start: Any, first: int, share: float
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


def test_how_often_each_graph_is_called(pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]) -> None:
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


def test_states_that_the_bundle_cannot_have(pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]) -> None:
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


def test_proportions_of_a_picture(pipeline: AmusedPipeline) -> None:
    with pytest.raises(OptionsError, match="other proportions"):
        pipeline.pictures(Variation("a fox", PICTURE[:, :8], fit="exact"))
    assert Path(pipeline.bundle.path) == TINY


def test_a_variation_can_be_cancelled_in_every_call(
    pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]
) -> None:
    cancellation = Cancellation()
    task = Variation("a fox", PICTURE, 0.6)
    assert len(list(pipeline.pictures(task, GenerationOptions(steps=3), cancellation=cancellation))) == 1
    assert "image_encoder" in {role for role, _, _ in calls}
    assert {id(given) for _, _, given in calls} == {id(cancellation)}


def test_every_call_can_be_cancelled_however_pictures_are_drawn(calls: list[tuple[str, int, Any]]) -> None:
    """One after the other with little memory, side by side, gone on with; where each row is called by itself, too."""

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Any:
        graph = _Function(role, calls)
        return OneByOne(role, graph) if role == "denoiser" else graph

    task, options = TextToImage("a fox", pictures_per_prompt=2), GenerationOptions(steps=2)
    for engine in (EngineOptions(), EngineOptions.low_memory()):
        for draw in ("pictures", "stream", "resume"):
            with AmusedPipeline(Bundle.open(TINY), engine, load=load) as pipeline:
                (state, _), cancellation = pipeline.begin(task, options), Cancellation()
                calls.clear()
                given = (state,) if draw == "resume" else (task, options)
                assert len(list(getattr(pipeline, draw)(*given, cancellation=cancellation))) == 2
            assert {role for role, _, _ in calls} >= {"text_encoder", "conditioner", "denoiser"}
            assert {id(given) for _, _, given in calls} == {id(cancellation)}


def test_without_guidance_nothing_is_asked_of_the_negative_prompt(
    pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]
) -> None:
    next(pipeline.pictures(TextToImage("a fox", "blue"), GenerationOptions(steps=1, guidance_scale=1.0)))
    assert [(role, rows) for role, rows, _ in calls if role != "image_decoder"] == [
        ("text_encoder", 1),
        ("conditioner", 1),
        ("denoiser", 1),
    ]


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
    (first, _), (second, _) = (pipeline.resume(replace(state, parameters=each)) for each in (state.parameters, frame))
    assert (first.tokens != second.tokens).any()
    value = value_of(pipeline, "a fox", MicroConditioning()), value_of(pipeline, "", MicroConditioning())
    scale = pipeline.settings(options, TextToImage("a fox")).guidance_scale

    def denoise(_: int, step: int, tokens: Any, rows: Any) -> Any:
        with_prompt, without = (logits_of(tokens, each).astype(np.float32)[rows] for each in value)
        return without + np.float32(scale) * (with_prompt - without)

    settings = pipeline.settings(options, TextToImage("a fox"))
    again = mask_predict(
        denoise,
        state.tokens[None],
        [0],
        seed=5,
        settings=settings,
        mask_token_id=MASKED,
        starting_mask_ratio=[1.0],
        first_step=0,
        noise_step=frame.noise_step,
    )
    assert np.array_equal(second.tokens, next(iter(again)).tokens)


def test_ids_and_weights_are_of_the_types_that_graphs_take(pipeline: AmusedPipeline) -> None:
    ids, weights = pipeline.tokenizer.weighted(PromptWeights("a (fox:1.5)"))
    assert (ids.dtype, weights.dtype, pipeline.tokenizer(["a"]).dtype) == (np.int64, np.float32, np.int64)


def test_pictures_that_need_no_step(pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]) -> None:
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
        return _Function(role, [])

    task, options = TextToImage(["a fox", "a boat"], pictures_per_prompt=3), GenerationOptions(seed=5, steps=2)
    told: list[int] = []
    with AmusedPipeline(Bundle.open(TINY), EngineOptions.low_memory(), load=load) as low:
        pictures = list(low.pictures(task, options, on_step=lambda index, step: told.append(index)))
    assert told == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (loaded.count("denoiser"), loaded.count("image_decoder")) == (2 * batches, 2 * batches)
    for picture, other in zip(pictures, pipeline.pictures(task, options), strict=True):
        assert np.array_equal(picture.image, other.image)


def test_weights_that_weigh_nothing_take_no_second_text(
    pipeline: AmusedPipeline, calls: list[tuple[str, int, Any]]
) -> None:
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


def test_going_on_remembers_how_sure_tokens_were(pipeline: AmusedPipeline) -> None:
    options = GenerationOptions(seed=5, steps=4)
    first, *_, last = pipeline.stream("a fox", options)
    (begun,) = pipeline.begin("a fox", options)
    assert begun.probability.dtype == np.float32
    *_, resumed = pipeline.resume(begun.after(first))
    assert np.array_equal(resumed.probability, last.probability)
    assert (last.probability[~first.mask] < 1).any()
