"""The public pipeline on the demo bundle: what a picture depends on, and what it does not.

Three steps are enough here; the golden tests run the bundle's own settings.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import AmusedPipeline, EngineOptions, GenerationOptions, Step, TextToImage
from amused_edge.runtime.bundle.manifest import Geometry, MicroConditioning
from amused_edge.runtime.drawing.conditioning import micro_conditions
from amused_edge.runtime.errors import BundleError, GraphError, OptionsError
from amused_edge.runtime.pictures import write_png
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.philox import Purpose, uniforms

PROMPT = "a red fox on a blue background"
QUICK = GenerationOptions(seed=3, steps=3)

IN_ANOTHER_PROCESS = """
import sys
from amused_edge.runtime import AmusedPipeline, GenerationOptions
with AmusedPipeline.from_bundle(sys.argv[1]) as pipeline:
    result = pipeline.generate(sys.argv[2], GenerationOptions(seed=3, steps=3))
sys.stdout.buffer.write(result.images.tobytes() + result.tokens.tobytes())
"""


@pytest.fixture(scope="module")
def drawn(pipeline: AmusedPipeline) -> Any:
    """One quick picture that others are compared with."""
    return pipeline.generate(PROMPT, QUICK)


def test_the_result_says_what_it_is(pipeline: AmusedPipeline, drawn: Any) -> None:
    g = pipeline.geometry
    assert drawn.images.shape == (1, g.image_height, g.image_width, 3)
    assert drawn.images.dtype == np.uint8
    assert drawn.tokens.shape == (1, g.grid_height, g.grid_width)
    assert drawn.tokens.min() >= 0
    assert drawn.tokens.max() < g.codebook_size
    assert (drawn.prompts, drawn.pictures, drawn.seed) == ((PROMPT,), (0,), 3)
    assert drawn.settings.steps == 3
    assert drawn.settings.guidance_scale == pipeline.bundle.manifest.sampler.guidance_scale


def test_the_picture_is_its_decoded_tokens(pipeline: AmusedPipeline, drawn: Any) -> None:
    assert np.array_equal(pipeline.decode(drawn.tokens), drawn.images)
    assert drawn.images.std() > 1


def test_same_seed_same_picture_twice(pipeline: AmusedPipeline, drawn: Any) -> None:
    again = pipeline.generate([PROMPT], QUICK)
    assert np.array_equal(again.images, drawn.images)
    assert np.array_equal(again.tokens, drawn.tokens)


def test_another_seed_is_another_picture(pipeline: AmusedPipeline, drawn: Any) -> None:
    other = pipeline.generate(PROMPT, GenerationOptions(seed=4, steps=3))
    assert not np.array_equal(other.tokens, drawn.tokens)


def test_same_picture_in_another_process(demo_bundle: Path, drawn: Any) -> None:
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(demo_bundle), PROMPT]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    assert output == drawn.images.tobytes() + drawn.tokens.tobytes()


def test_pictures_are_the_same_alone_and_among_others(pipeline: AmusedPipeline) -> None:
    """Several prompts with several pictures: order by prompt, and each as if it were the only one."""
    prompts, negatives = [PROMPT, "a green leaf"], ["", "a red fox"]
    options = GenerationOptions(seed=8, steps=2)
    together = pipeline.generate(TextToImage(prompts, negatives, pictures_per_prompt=2, first_picture=1), options)
    assert together.prompts == (PROMPT, PROMPT, "a green leaf", "a green leaf")
    assert together.pictures == (1, 2, 1, 2)
    assert len({grid.tobytes() for grid in together.tokens}) == 4
    for place, (index, picture) in enumerate([(0, 1), (0, 2), (1, 1), (1, 2)]):
        alone = pipeline.generate(TextToImage(prompts[index], negatives[index], first_picture=picture), options)
        assert np.array_equal(alone.tokens[0], together.tokens[place])
        assert np.array_equal(alone.images[0], together.images[place])


@pytest.mark.parametrize("guidance", [None, 1.0])
def test_streaming_equals_generating(pipeline: AmusedPipeline, guidance: float | None) -> None:
    """Side by side or one after the other, step by step."""
    task = TextToImage([PROMPT, "a green leaf"], "a red fox", first_picture=1)
    options = GenerationOptions(seed=2, steps=3, guidance_scale=guidance)
    called: list[tuple[int, Step]] = []
    result = pipeline.generate(task, options, on_step=lambda index, step: called.append((index, step)))
    streamed = list(pipeline.stream(task, options))
    assert [(index, step.index) for index, step in called] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    for index, step in called:
        beside = streamed[step.index]
        assert np.array_equal(beside.tokens[index], step.tokens[0])
        assert np.array_equal(beside.confidence[index], step.confidence[0])
    assert np.array_equal(streamed[-1].tokens, result.tokens)


def test_an_error_in_the_callers_function_ends_the_run(pipeline: AmusedPipeline) -> None:
    """How an app cancels."""
    seen = []

    def cancel(_: int, step: Step) -> None:
        seen.append(step.index)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.generate(PROMPT, QUICK, on_step=cancel)
    assert seen == [0]


def test_without_guidance_the_negative_prompt_is_not_run(
    pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a scale of 1 or less: half the work, batch 1."""
    batches = spy_on_denoiser(pipeline, monkeypatch)
    options = GenerationOptions(seed=3, steps=2, guidance_scale=1.0)
    results = [pipeline.generate(TextToImage("a fish", negative), options) for negative in ("", "a green leaf")]
    assert np.array_equal(results[0].tokens, results[1].tokens)
    assert batches == [1, 1, 1]  # the second picture's first step is that of the first one


def test_with_guidance_the_pair_is_one_call(pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = spy_on_denoiser(pipeline, monkeypatch)
    pipeline.generate(TextToImage(["a fish", "a bird"]), GenerationOptions(steps=2, guidance_scale=2.0))
    assert batches == [2, 2, 2, 2]


def spy_on_denoiser(pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the batch size of every call of the denoiser."""
    batches: list[int] = []
    denoiser = pipeline.graph("denoiser")
    call: Callable[..., Any] = type(denoiser).__call__

    def spied(graph: Any, inputs: Any, cancellation: Any = None) -> Any:
        if graph is denoiser:
            batches.append(len(inputs["tokens"]))
        return call(graph, inputs, cancellation)

    monkeypatch.setattr(type(denoiser), "__call__", spied)
    return batches


def test_guidance_and_the_negative_prompt_change_the_picture(pipeline: AmusedPipeline, drawn: Any) -> None:
    """Four ways to draw one prompt with one seed, four pictures."""
    negative = pipeline.generate(TextToImage(PROMPT, "a green leaf"), QUICK)
    unguided = pipeline.generate(PROMPT, GenerationOptions(seed=3, steps=3, guidance_scale=1.0))
    strong = pipeline.generate(PROMPT, GenerationOptions(seed=3, steps=3, guidance_scale=5.0))
    assert len({result.tokens.tobytes() for result in (drawn, negative, unguided, strong)}) == 4


def test_a_guided_step_is_the_formula_of_its_two_branches(pipeline: AmusedPipeline) -> None:
    """Negative prompt first, then u + g (c - u), then the draw with the numbers of this seed and picture."""
    g = pipeline.geometry
    masked = np.full((2, g.grid_height, g.grid_width), g.mask_token_id)
    conditioning = pipeline.condition(["a green leaf", PROMPT])
    u, c = pipeline.graph("denoiser")({"tokens": masked, **conditioning})["logits"]
    noise = uniforms(u.size, seed=6, picture=2, step=0, purpose=Purpose.TOKENS).reshape(u.shape)
    expected = sampler.draw_tokens(u + np.float32(3) * (c - u), noise)
    task = TextToImage(PROMPT, "a green leaf", first_picture=2)
    result = pipeline.generate(task, GenerationOptions(seed=6, steps=1, guidance_scale=3.0))
    assert np.mean(result.tokens.reshape(-1) == expected) > 0.99  # operations in another order may round otherwise
    wrong = sampler.draw_tokens(c + np.float32(3) * (u - c), noise)
    assert np.mean(wrong == expected) < 0.9  # the test can fail


def test_a_negative_prompt_equal_to_the_prompt_cancels_guidance(pipeline: AmusedPipeline) -> None:
    """u + g (c - u) is c where both branches are the same. Draws may differ where a batch of 2 rounds otherwise."""
    guided = pipeline.generate(TextToImage(PROMPT, PROMPT), GenerationOptions(steps=1, guidance_scale=5.0))
    unguided = pipeline.generate(PROMPT, GenerationOptions(steps=1, guidance_scale=1.0))
    assert np.mean(guided.tokens == unguided.tokens) > 0.97


def test_what_is_left_open_comes_from_the_bundle(pipeline: AmusedPipeline) -> None:
    assert pipeline.settings(GenerationOptions()) == pipeline.bundle.manifest.sampler
    asked = GenerationOptions(steps=2, guidance_scale=3.0, temperature=1.0, schedule="linear")
    assert asdict(pipeline.settings(asked)) == {
        "steps": 2,
        "guidance_scale": 3.0,
        "temperature": 1.0,
        "schedule": "linear",
        "guidance_ramp": "constant",
        "guidance_interval": (0.0, 1.0),
        "order": "confidence",
        "entropy_bound": 0.0,
        "row_cache": 0,
    }


def test_bad_tasks_are_refused_before_any_graph_runs(demo_bundle: Path) -> None:
    with AmusedPipeline.from_bundle(demo_bundle, verify=False) as fresh:
        with pytest.raises(OptionsError, match="no prompt was given"):
            fresh.generate([])
        with pytest.raises(OptionsError, match="not valid Unicode"):
            fresh.tokenizer(["\ud800"])


def test_decode_refuses_mask_ids_and_negative_ones(pipeline: AmusedPipeline) -> None:
    """The reference reads past the codebook's end here."""
    g = pipeline.geometry
    tokens = np.zeros((1, g.grid_height, g.grid_width), np.int64)
    for value in (g.mask_token_id, g.codebook_size, -1):
        tokens[0, -1, -1] = value
        with pytest.raises(OptionsError, match=r"the codebook has 0 to \d+ \(is the picture finished\?\)") as error:
            pipeline.decode(tokens)
        assert str(value) in str(error.value)


def test_encode_turns_pictures_into_tokens_that_decode_alike(pipeline: AmusedPipeline, drawn: Any) -> None:
    """Two pictures at once are the same as one; a picture decoded from tokens survives the round trip roughly."""
    images = np.concatenate([drawn.images, 255 - drawn.images])
    tokens = pipeline.encode(images)
    assert tokens.shape == (2, *drawn.tokens.shape[1:])
    assert tokens.dtype == np.int64
    assert np.array_equal(pipeline.encode(images[1:])[0], tokens[1])
    again = pipeline.decode(tokens)
    differences = np.abs(again.astype(float) - images).mean(axis=(1, 2, 3))
    assert (differences < 40).all()
    assert differences[0] < np.abs(again[1].astype(float) - images[0]).mean() / 2


def test_encode_refuses_pictures_of_another_size(pipeline: AmusedPipeline) -> None:
    g = pipeline.geometry
    with pytest.raises(GraphError, match="image has shape"):
        pipeline.encode(np.zeros((1, g.image_height + 16, g.image_width, 3), np.uint8))


def test_several_prompts_are_conditioned_like_each_alone(pipeline: AmusedPipeline) -> None:
    both = pipeline.condition([PROMPT, "a green leaf"])
    alone = pipeline.condition(["a green leaf"])
    assert both.keys() == alone.keys()
    for name, values in both.items():
        assert len(values) == 2
        assert np.array_equal(values[1:], alone[name])
        assert not np.array_equal(values[0], values[1]) or name == "micro_conditions"


def test_micro_conditions_put_the_width_first() -> None:
    """A picture that is not square, since a square one cannot tell."""
    geometry = Geometry(
        image_height=48,
        image_width=64,
        grid_height=3,
        grid_width=4,
        codebook_size=8,
        mask_token_id=9,
        text_length=77,
    )
    values = micro_conditions(geometry, MicroConditioning(crop_top=1.0, crop_left=2.0, aesthetic_score=6.5))
    assert values.tolist() == [64, 48, 1, 2, 6.5]
    assert values.dtype == np.float32


def test_the_bundles_micro_conditioning_is_used(pipeline: AmusedPipeline) -> None:
    g, micro = pipeline.geometry, pipeline.bundle.manifest.micro_conditioning
    expected = [g.image_width, g.image_height, micro.crop_top, micro.crop_left, micro.aesthetic_score]
    assert pipeline.micro_conditions.tolist() == expected


def test_a_closed_pipeline_says_so(demo_bundle: Path) -> None:
    closed = AmusedPipeline.from_bundle(demo_bundle, verify=False)
    encoder = closed.graph("text_encoder")
    closed.close()
    closed.close()
    with pytest.raises(GraphError, match="the pipeline was closed; make a new one"):
        closed.generate(PROMPT)
    with pytest.raises(GraphError, match="text_encoder was closed"):
        encoder({"input_ids": closed.tokenizer([PROMPT])})


def test_a_graph_is_loaded_once(pipeline: AmusedPipeline) -> None:
    assert pipeline.graph("denoiser") is pipeline.graph("denoiser")


def test_graphs_of_ones_own_take_the_engines_place(pipeline: AmusedPipeline, drawn: Any) -> None:
    """Whoever measures may put them there; each is asked for once, when it is needed, and closed with the pipeline."""
    asked: list[tuple[Any, str, Any]] = []
    closed: list[str] = []

    class Own:
        def __init__(self, role: str) -> None:
            self._role = role

        def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
            outputs = pipeline.graph(self._role)(inputs)
            return {"image": 255 - outputs["image"]} if self._role == "image_decoder" else outputs

        def close(self) -> None:
            closed.append(self._role)

    def load(*what: Any) -> Own:
        asked.append(what)
        return Own(what[1])

    engine = EngineOptions(threads=1)
    with AmusedPipeline(pipeline.bundle, engine, load=load) as own:
        assert asked == []
        result = own.generate([PROMPT, PROMPT], QUICK)
    roles = ["text_encoder", "conditioner", "denoiser", "image_decoder"]
    assert sorted(role for _, role, _ in asked) == sorted(roles)
    assert all(bundle is pipeline.bundle and given is engine for bundle, _, given in asked)
    assert sorted(closed) == sorted(roles)
    assert np.array_equal(result.tokens[0], drawn.tokens[0])
    assert np.array_equal(result.images[0], 255 - drawn.images[0])


def test_a_damaged_bundle_is_found_when_it_is_opened(bundle_copy: Path) -> None:
    file = bundle_copy / "denoiser.onnx.data"
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 1]))
    with pytest.raises(BundleError, match=r"denoiser\.onnx\.data is damaged"):
        AmusedPipeline.from_bundle(bundle_copy)


def test_a_bundle_may_be_moved(bundle_copy: Path, tmp_path: Path, drawn: Any) -> None:
    """Nothing in it knows where it was made; names that are not ASCII are no obstacle."""
    moved = bundle_copy.rename(tmp_path / "Bündel mit Füchsen")
    with AmusedPipeline.from_bundle(moved) as opened:
        result = opened.generate(PROMPT, QUICK)
    assert np.array_equal(result.images, drawn.images)


def test_a_picture_can_be_written(drawn: Any, tmp_path: Path) -> None:
    write_png(drawn.images[0], tmp_path / "fox.png")
    assert (tmp_path / "fox.png").stat().st_size > 100


@pytest.mark.parametrize("tokens", [np.zeros((0, 16, 16), int), np.zeros((1, 16, 16)), np.zeros((16, 16), int)])
def test_decode_refuses_what_are_no_grids_of_codes(pipeline: AmusedPipeline, tokens: Any) -> None:
    """Once, floats were cut to whole numbers in silence."""
    with pytest.raises(OptionsError, match="tokens are"):
        pipeline.decode(tokens)


def test_encode_refuses_floats(pipeline: AmusedPipeline) -> None:
    """Once, a float picture in [0, 1] was encoded as black."""
    with pytest.raises(OptionsError, match="images are float64"):
        pipeline.encode(np.full((1, 64, 64, 3), 0.5))  # type: ignore[arg-type]
