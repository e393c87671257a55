"""What a pipeline does beside drawing from text: pictures given, steering, cancelling, going on, little memory."""

import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime import (
    AmusedEdgeWarning,
    AmusedPipeline,
    Cancellation,
    EngineOptions,
    GenerationCancelledError,
    GenerationOptions,
    GraphError,
    Inpainting,
    MicroConditioning,
    OptionsError,
    PictureState,
    PromptEmbeddings,
    StateError,
    Step,
    TextToImage,
    Variation,
    outpainting,
)
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.tasks import Task

PROMPT, OTHER = "a flat icon of a fox on a blue background", "a drawing of a panda on a yellow background"
QUICK = GenerationOptions(seed=3, steps=4)
SIDE = 64


@pytest.fixture(scope="module")
def pipeline(demo_bundle: Path) -> Iterator[AmusedPipeline]:
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def fox(pipeline: AmusedPipeline) -> Any:
    """(64, 64, 3) uint8."""
    return pipeline.generate(PROMPT, QUICK).images[0]


def right_half() -> Any:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, SIDE // 2 :] = 255
    return mask


# --- Pictures given.


@pytest.mark.parametrize("feather", [0, 6])
def test_the_known_half_is_unchanged_to_the_pixel(pipeline: AmusedPipeline, fox: Any, feather: int) -> None:
    image = pipeline.generate(Inpainting(OTHER, fox, right_half(), feather=feather), QUICK).images[0]
    assert np.array_equal(image[:, :32], fox[:, :32])
    assert np.mean(image[:, 32:] != fox[:, 32:]) > 0.3


def test_without_pasting_back_the_whole_picture_passes_through_the_vqgan(pipeline: AmusedPipeline, fox: Any) -> None:
    result = pipeline.generate(Inpainting(OTHER, fox, right_half(), paste_back=False), QUICK)
    assert np.array_equal(result.images, pipeline.decode(result.tokens))
    assert np.array_equal(result.tokens[0, :, :8], pipeline.encode(fox[None])[0, :, :8])
    assert not np.array_equal(result.images[0, :, :32], fox[:, :32])


def test_an_inpainting_has_a_linear_schedule_unless_asked_otherwise(pipeline: AmusedPipeline, fox: Any) -> None:
    task = Inpainting(OTHER, fox, right_half())
    assert pipeline.settings(QUICK, task).schedule == "linear"
    assert pipeline.settings(GenerationOptions(schedule="cosine"), task).schedule == "cosine"
    assert pipeline.settings(QUICK, TextToImage(OTHER)).schedule == "cosine"


@pytest.mark.parametrize("paste_back", [True, False])
def test_a_black_mask_gives_the_picture_back_and_says_so(pipeline: AmusedPipeline, fox: Any, paste_back: bool) -> None:
    task = Inpainting(OTHER, fox, np.zeros((SIDE, SIDE), np.uint8), paste_back=paste_back)
    with pytest.warns(AmusedEdgeWarning, match="nothing to draw"):
        result = pipeline.generate(task, QUICK)
    assert np.array_equal(result.images[0], fox)
    with pytest.warns(AmusedEdgeWarning, match="nothing to draw"):
        assert list(pipeline.stream(task, QUICK)) == []


def test_a_white_mask_draws_everything(pipeline: AmusedPipeline, fox: Any) -> None:
    linear = GenerationOptions(seed=3, steps=4, schedule="linear")
    task = Inpainting(OTHER, fox, np.full((SIDE, SIDE), 255, np.uint8))
    assert np.array_equal(pipeline.generate(task, QUICK).images, pipeline.generate(OTHER, linear).images)


def test_strengths_of_a_variation(pipeline: AmusedPipeline, fox: Any) -> None:
    """0 passes through the VQ-GAN, 1 is text to image, between them more changes."""
    tokens = pipeline.encode(fox[None])
    nothing = pipeline.generate(Variation(OTHER, fox, 0.0), QUICK)
    assert np.array_equal(nothing.tokens, tokens)
    assert np.array_equal(nothing.images, pipeline.decode(tokens))
    all_of_it = pipeline.generate(Variation(OTHER, fox, 1.0), QUICK)
    assert np.array_equal(all_of_it.images, pipeline.generate(OTHER, QUICK).images)
    changed = [np.mean(pipeline.generate(Variation(OTHER, fox, s), QUICK).tokens != tokens) for s in (0.25, 0.75)]
    assert 0 < changed[0] < changed[1] < 1


def test_nobody_can_change_what_is_remembered_of_a_picture(pipeline: AmusedPipeline, fox: Any) -> None:
    nothing = next(pipeline.pictures(Variation(OTHER, fox, 0.0), QUICK))
    with pytest.raises(ValueError, match="read-only"):
        nothing.tokens[:] = 0


def test_strength_that_leaves_no_step_for_a_mask_is_refused(pipeline: AmusedPipeline, fox: Any) -> None:
    for strength in (0.0, 0.2):
        with pytest.raises(OptionsError, match=r"leaves none .* at least 0\.25"):
            pipeline.generate(Inpainting(OTHER, fox, right_half(), strength), QUICK)


def test_copies_of_a_variation_draw_masks_of_their_own(pipeline: AmusedPipeline, fox: Any) -> None:
    first, second = pipeline.begin(Variation(OTHER, fox, 0.5, pictures_per_prompt=2), QUICK)
    assert not np.array_equal(first.tokens, second.tokens)
    alone = pipeline.generate(Variation(OTHER, fox, 0.5, first_picture=1), QUICK).images[0]
    both = pipeline.generate(Variation(OTHER, fox, 0.5, pictures_per_prompt=2), QUICK).images
    assert np.array_equal(alone, both[1])
    assert not np.array_equal(both[0], both[1])


def test_one_picture_for_each_prompt(pipeline: AmusedPipeline, fox: Any) -> None:
    """The starting mask ratio is each picture's own."""
    masks = [right_half(), right_half().T]
    masks[1] = np.where(np.arange(SIDE)[:, None] >= 48, 255, 0).astype(np.uint8).repeat(SIDE, 1)
    task = Inpainting([OTHER, PROMPT], [fox, fox[::-1]], masks)
    together = pipeline.generate(task, QUICK).images
    assert np.array_equal(together[0], pipeline.generate(Inpainting(OTHER, fox, masks[0]), QUICK).images[0])
    assert np.array_equal(together[1], pipeline.generate(Inpainting(PROMPT, fox[::-1], masks[1]), QUICK).images[0])
    assert [state.starting_mask_ratio for state in pipeline.begin(task, QUICK)] == [0.5, 0.25]
    *_, last = pipeline.stream(task, QUICK)
    assert np.array_equal(last.tokens, pipeline.generate(task, QUICK).tokens)


@pytest.mark.filterwarnings("ignore:the mask covers no token")
def test_a_picture_with_nothing_to_draw_does_not_stop_the_others(pipeline: AmusedPipeline, fox: Any) -> None:
    black = np.zeros((SIDE, SIDE), np.uint8)
    task = Inpainting([OTHER, OTHER], fox, [black, right_half()])
    *_, last = pipeline.stream(task, QUICK)
    result = pipeline.generate(task, QUICK)
    assert np.array_equal(last.tokens, result.tokens)
    assert np.array_equal(result.images[0], fox)
    assert np.array_equal(result.images[1], pipeline.generate(Inpainting(OTHER, fox, right_half()), QUICK).images[0])


def test_outpainting_keeps_the_picture_in_the_middle(pipeline: AmusedPipeline, fox: Any) -> None:
    small = Image.fromarray(fox).resize((32, 32))
    image = pipeline.generate(outpainting(PROMPT, small, left=16, right=16, top=32), QUICK).images[0]
    assert np.array_equal(image[32:, 16:48], np.asarray(small))
    task = outpainting(PROMPT, small, left=30, right=2, top=32)
    (state,) = pipeline.begin(task, QUICK)
    assert (state.tokens[8:, 8:15] != 319).all()
    assert (state.tokens[:, :8] == 319).all()
    assert (state.tokens[:, 15] == 319).all()  # a column of tokens that new canvas covers by half a token
    with pytest.raises(OptionsError, match="other proportions"):
        pipeline.generate(outpainting(PROMPT, small, left=32), QUICK)


@pytest.mark.parametrize("size", [(1, 1), (300, 17)])
def test_pictures_of_any_size_are_taken(pipeline: AmusedPipeline, size: tuple[int, int]) -> None:
    image = Image.new("RGBA", size, (200, 30, 30, 128))
    result = pipeline.generate(Inpainting(OTHER, image, Image.new("1", size, 1), fit="pad"), GenerationOptions(steps=1))
    assert result.images.shape == (1, SIDE, SIDE, 3)


def test_bad_pictures_are_refused_before_any_graph_runs(fox: Any) -> None:
    cases: list[tuple[str, Any]] = [
        ("mask has 32x64 pixels, its picture 64x64", lambda: Inpainting(OTHER, fox, right_half()[:, :32])),
        ("strength is 1.5", lambda: Variation(OTHER, fox, 1.5)),
        ("strength is nan", lambda: Variation(OTHER, fox, float("nan"))),
        ("strength is -0.1", lambda: Variation(OTHER, fox, -0.1)),
        ("fit is 'fill'", lambda: Variation(OTHER, fox, fit="fill")),
        ("coverage is 'most'", lambda: Inpainting(OTHER, fox, right_half(), coverage="most")),
        ("feather is -1", lambda: Inpainting(OTHER, fox, right_half(), feather=-1)),
        ("2 images for 3 prompts", lambda: Variation([OTHER] * 3, [fox, fox])),
        ("2 masks for 1 prompts", lambda: Inpainting(OTHER, fox, [right_half(), right_half()])),
        ("left is -1", lambda: outpainting(OTHER, fox, left=-1)),
        ("canvas has 16484x64 pixels", lambda: outpainting(OTHER, fox, left=16384 // 2, right=16384 // 2 + 36)),
    ]
    for words, build in cases:
        with pytest.raises(OptionsError, match=words):
            build()


# --- Steering.


def test_outside_its_interval_guidance_costs_nothing_and_does_nothing(demo_bundle: Path) -> None:
    rows: list[int] = []

    def load(bundle: Any, role: str, options: Any) -> Any:
        graph = load_graph(bundle, role, options)
        if role != "denoiser":
            return graph

        class Counting:
            def __call__(self, inputs: Any) -> Any:
                rows.append(len(inputs["tokens"]))
                return graph(inputs)

            def close(self) -> None:
                graph.close()

        return Counting()

    from amused_edge.runtime.bundle import Bundle

    with AmusedPipeline(Bundle.open(demo_bundle), EngineOptions(), load=load) as counted:
        options = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_interval=(0.25, 0.75))
        interval = counted.generate(PROMPT, options).tokens
        assert rows == [1, 2, 2, 1]
        rows.clear()
        ramp = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_ramp="linear")
        counted.generate(PROMPT, ramp)
        assert rows == [1, 2, 2, 2]  # the ramp begins at 1
        nothing = GenerationOptions(seed=3, steps=4, guidance_scale=4.0, guidance_interval=(0.9, 0.95))
        plain = GenerationOptions(seed=3, steps=4, guidance_scale=1.0)
        assert np.array_equal(counted.generate(PROMPT, nothing).tokens, counted.generate(PROMPT, plain).tokens)
        assert not np.array_equal(interval, counted.generate(PROMPT, plain).tokens)


def test_a_halton_order_ignores_the_temperature_and_starts_anywhere(pipeline: AmusedPipeline) -> None:
    halton = [
        list(pipeline.stream(PROMPT, GenerationOptions(seed=seed, steps=4, temperature=t, order="halton")))
        for seed, t in ((3, 0.0), (3, 50.0), (4, 0.0))
    ]
    for cold, hot in zip(halton[0], halton[1], strict=True):
        assert np.array_equal(cold.tokens, hot.tokens)
    assert not np.array_equal(halton[0][0].mask, halton[2][0].mask)


def test_embeddings_take_the_place_of_their_prompt(pipeline: AmusedPipeline) -> None:
    expected = pipeline.generate(TextToImage(PROMPT, "blue"), QUICK)
    embedded = TextToImage(pipeline.embed(PROMPT), pipeline.embed("blue"))
    result = pipeline.generate(embedded, QUICK)
    assert np.array_equal(result.images, expected.images)
    mixed = pipeline.generate(TextToImage([pipeline.embed(PROMPT), PROMPT], "blue"), QUICK).images
    assert np.array_equal(mixed[0], mixed[1])


def test_bad_embeddings_are_refused(pipeline: AmusedPipeline) -> None:
    good = pipeline.embed(PROMPT)
    for name, value in (("hidden_states", np.nan), ("pooled", np.inf)):
        values = {"hidden_states": good.hidden_states.copy(), "pooled": good.pooled.copy()}
        values[name].flat[0] = value
        with pytest.raises(OptionsError, match=f"{name} of prompt embeddings hold NaN or infinity"):
            PromptEmbeddings(**values)
    with pytest.raises(OptionsError, match="shape"):
        PromptEmbeddings(good.hidden_states[None], good.pooled)
    with pytest.raises(OptionsError, match="no numbers"):
        PromptEmbeddings("text", good.pooled)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match=r"hidden_states .* shape \[5, 128\]; this bundle takes \[77, 128\]"):
        pipeline.generate(PromptEmbeddings(good.hidden_states[:5], good.pooled), QUICK)


def test_micro_conditioning_of_a_task(pipeline: AmusedPipeline) -> None:
    plain = pipeline.generate(PROMPT, QUICK).tokens
    same = pipeline.generate(TextToImage(PROMPT, micro_conditioning=MicroConditioning()), QUICK).tokens
    assert np.array_equal(plain, same)
    other = pipeline.generate(TextToImage(PROMPT, micro_conditioning=MicroConditioning(aesthetic_score=60.0)), QUICK)
    assert not np.array_equal(plain, other.tokens)
    for bad in (float("nan"), 1e300, "6", True):
        with pytest.raises(OptionsError, match="crop_top is"):
            MicroConditioning(crop_top=bad)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="give a MicroConditioning"):
        TextToImage(PROMPT, micro_conditioning={"crop_top": 1})  # type: ignore[arg-type]


def test_a_long_prompt_is_cut_with_a_warning_that_shows_what(pipeline: AmusedPipeline) -> None:
    long = "a castle, " * 60 + "and a very small fox"
    with pytest.warns(AmusedEdgeWarning, match="reads 77 tokens; cut off: .*and a very small fox'"):
        pipeline.generate(long, GenerationOptions(steps=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", AmusedEdgeWarning)
        pipeline.tokenizer(["a castle"])


# --- Watching.


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
    assert rest[-1].parameters.task["prompt"] == OTHER


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
        graph.run(inputs, cancellation)
    timer.join()
    assert not cancellation._running
    assert graph(inputs)["image"].shape == (64, SIDE, SIDE, 3)


def test_the_caller_may_stop_between_steps(pipeline: AmusedPipeline) -> None:
    stream = pipeline.stream(PROMPT, GenerationOptions(steps=1000))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(pipeline.generate(PROMPT, QUICK).images) == 1


# --- Going on.


def tasks(fox: Any, pipeline: AmusedPipeline) -> dict[str, Task]:
    return {
        "text": TextToImage(PROMPT, "blue", first_picture=2),
        "variation": Variation(OTHER, fox, 0.75),
        "inpainting": Inpainting(OTHER, fox, right_half(), feather=3),
        "embeddings": TextToImage(pipeline.embed(PROMPT), micro_conditioning=MicroConditioning(4.0, 8.0, 5.0)),
    }


@pytest.mark.parametrize("kind", ["text", "variation", "inpainting", "embeddings"])
@pytest.mark.parametrize("stop", [0, 2, 4])
def test_resumed_equals_uninterrupted(
    kind: str, stop: int, pipeline: AmusedPipeline, fox: Any, demo_bundle: Path, tmp_path: Path
) -> None:
    """In another pipeline, from the file alone and what was given."""
    task = tasks(fox, pipeline)[kind]
    expected = pipeline.generate(task, QUICK)
    (state,) = pipeline.begin(task, QUICK)
    for step in pipeline.resume(state, task):
        if step.index >= stop:
            break
        state = state.after(step)
    state.save(tmp_path / "state.json")
    given = None if kind == "text" else tasks(fox, pipeline)[kind]
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as fresh:
        state = PictureState.load(tmp_path / "state.json")
        for step in fresh.resume(state, given):
            state = state.after(step)
        picture = fresh.finish(state, given)
    assert np.array_equal(picture.image, expected.images[0])
    assert np.array_equal(picture.tokens, expected.tokens[0])
    assert np.array_equal(picture.probability, expected.probability[0])
    assert picture.parameters == expected.parameters[0]


def test_a_state_of_something_else_is_refused(pipeline: AmusedPipeline, fox: Any, bundle_copy: Path) -> None:
    (text,) = pipeline.begin(PROMPT, QUICK)
    (varied,) = pipeline.begin(Variation(OTHER, fox), QUICK)
    (embedded,) = pipeline.begin(pipeline.embed(PROMPT), QUICK)
    with pytest.raises(StateError, match="its prompt is"):
        next(pipeline.resume(text, OTHER))
    assert next(pipeline.resume(embedded, pipeline.embed(PROMPT))).index == 0
    with pytest.raises(StateError, match="its image_sha256 is"):
        next(pipeline.resume(varied, Variation(OTHER, fox[::-1])))
    with pytest.raises(StateError, match="needs its pictures again"):
        next(pipeline.resume(varied))
    with pytest.raises(StateError, match="give them again"):
        next(pipeline.resume(embedded))
    manifest = bundle_copy / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with AmusedPipeline.from_bundle(bundle_copy) as other, pytest.raises(StateError, match="use the same bundle"):
        next(other.resume(text))
    wrong = PictureState(text.parameters, 0, np.full((16, 16), 300), text.probability)
    with pytest.raises(StateError, match="tokens that the bundle does not have"):
        next(pipeline.resume(wrong))
    with pytest.raises(StateError, match="4 steps to go"):
        pipeline.finish(text)
    masked = PictureState(text.parameters, 4, text.tokens, text.probability)
    with pytest.raises(StateError, match="tokens that are masked"):
        pipeline.finish(masked)


# --- Memory and threads.


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
            def __call__(self, inputs: Any) -> Any:
                return graph(inputs)

            def close(self) -> None:
                watched.loaded.remove(role)
                graph.close()

        return Counted()


@pytest.mark.parametrize("kind", ["text", "inpainting"])
def test_with_little_memory_one_graph_is_loaded_at_a_time(
    kind: str, demo_bundle: Path, pipeline: AmusedPipeline, fox: Any
) -> None:
    from amused_edge.runtime.bundle import Bundle

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
    monkeypatch.setattr("amused_edge.runtime.pipeline._LOW_MEMORY_BATCH", 2)
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
    from amused_edge.runtime.bundle import Bundle

    calls: list[int] = []

    def load(bundle: Any, role: str, options: Any) -> Any:
        graph = load_graph(bundle, role, options)
        if role != "text_encoder":
            return graph

        class Counting:
            def __call__(self, inputs: Any) -> Any:
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
