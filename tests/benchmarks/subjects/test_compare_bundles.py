"""Bundles beside each other on the demo bundle: one spoilt graph at a time, and what shows it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from amused_edge.benchmarks.subjects.teacher_forcing import compare_bundles, follow, logit_source
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.measurements import Fidelity, LogitFidelity, PictureFidelity
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from tests.support.paths import ROOT

PROMPTS = ["a red fox on a blue background", "a drawing of a castle on a white background"]
GUIDED = SamplerSettings(steps=2, guidance_scale=3.0)
UNGUIDED = SamplerSettings(steps=2, guidance_scale=1.0)
Outputs = dict[str, Any]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(ROOT / "demo" / "bundle")


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Iterator[AmusedPipeline]:
    with AmusedPipeline(bundle, EngineOptions()) as opened:
        yield opened


class Spoilt:
    """The engine's graph, its outputs changed by `change`."""

    def __init__(self, graph: Any, change: Callable[[Outputs], Outputs]) -> None:
        self._graph, self._change = graph, change

    def __call__(self, inputs: Any, cancellation: Any = None) -> Outputs:
        return self._change(self._graph(inputs))

    def close(self) -> None:
        self._graph.close()


def spoilt(bundle: Bundle, spoilt_role: str, change: Callable[[Outputs], Outputs]) -> AmusedPipeline:
    """A pipeline whose graph of one role is changed."""

    def load(bundle: Bundle, role: str, engine: EngineOptions) -> Any:
        graph = load_graph(bundle, role, engine)
        return Spoilt(graph, change) if role == spoilt_role else graph

    return AmusedPipeline(bundle, EngineOptions(), load=load)


def compare(reference: AmusedPipeline, other: AmusedPipeline, settings: SamplerSettings = UNGUIDED) -> Fidelity:
    with other:
        return compare_bundles(reference, {"other": other}, PROMPTS[:1], settings)["other"]


PERFECT_PICTURES = PictureFidelity(None, None, 1.0, 1.0)


@pytest.mark.parametrize("settings", [GUIDED, UNGUIDED], ids=["guided", "unguided"])
def test_a_bundle_beside_itself_is_exactly_perfect(
    bundle: Bundle, pipeline: AmusedPipeline, settings: SamplerSettings
) -> None:
    """Itself, and itself loaded a second time; over two prompts, whose later step masks cos(pi / 4) of 256 tokens."""
    calls: list[tuple[int, int]] = []
    with AmusedPipeline(bundle, EngineOptions()) as again:
        others = {"same": pipeline, "again": again}
        found = compare_bundles(
            pipeline, others, PROMPTS, settings, seed=3, on_picture=lambda *where: calls.append(where)
        )
    rows = 2 * (256 + int(256 * np.cos(np.pi / 4)))
    perfect = Fidelity(LogitFidelity(2, rows, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0), PERFECT_PICTURES)
    assert found == {"same": perfect, "again": perfect}
    assert calls == [(0, 2), (1, 2)]


def test_the_reference_draws_what_it_would_draw_alone(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    """Prompt i is drawn as picture i; the others do not lead it elsewhere."""
    decoded = []

    def note(outputs: Outputs) -> Outputs:
        decoded.append(outputs["image"])
        return outputs

    with spoilt(bundle, "image_decoder", note) as reference, spoilt(bundle, "denoiser", doubled) as other:
        compare_bundles(reference, {"other": other}, PROMPTS, GUIDED, seed=3)
    for index, prompt in enumerate(PROMPTS):
        sources = {"": logit_source(pipeline, prompt, GUIDED)}
        *_, last = follow(sources, "", pipeline.geometry, GUIDED, seed=3, picture=index)
        assert np.array_equal(pipeline.decode(last.predicted[None]), decoded[index])
    options = GenerationOptions(seed=3, steps=GUIDED.steps, guidance_scale=GUIDED.guidance_scale)
    settings = pipeline.settings(options)
    assert settings == GUIDED
    assert np.array_equal(pipeline.generate(PROMPTS[0], options).images, decoded[0])


@pytest.mark.parametrize(
    "changing",
    [{"guidance_ramp": "cosine"}, {"guidance_interval": (0.3, 0.8)}, {"guidance_ramp": "linear", "steps": 1}],
    ids=str,
)
def test_guidance_that_changes_from_step_to_step_is_followed(pipeline: AmusedPipeline, changing: Any) -> None:
    """It was that of the first scale at every step: pictures that were measured were not those that are drawn."""
    options = GenerationOptions(seed=3, **{"steps": 6, "guidance_scale": 9.0, **changing})
    settings = pipeline.settings(options)
    *_, last = follow({"": logit_source(pipeline, PROMPTS[0], settings)}, "", pipeline.geometry, settings, seed=3)
    assert np.array_equal(last.predicted, pipeline.generate(PROMPTS[0], options).tokens[0])


def doubled(outputs: Outputs) -> Outputs:
    return {"logits": 2 * outputs["logits"]}


def test_doubled_logits_keep_their_order_and_nothing_else(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    found = compare(pipeline, spoilt(bundle, "denoiser", doubled))
    assert found.pictures == PERFECT_PICTURES
    assert (found.logits.top1, found.logits.top5, found.logits.max_logit_error) == (1.0, 1.0, 1.0)
    assert found.logits.mean_kl > 0.01
    assert found.logits.equal_draws < 1


def test_shifted_logits_are_the_same_distribution(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    found = compare(pipeline, spoilt(bundle, "denoiser", lambda o: {"logits": o["logits"] + np.float32(4)}), GUIDED)
    assert found.logits.mean_kl < 1e-9
    assert found.logits.total_variation < 1e-4
    assert found.logits.equal_draws > 0.99
    assert found.logits.max_logit_error > 0.05


@pytest.mark.parametrize("role", ["text_encoder", "conditioner"])
def test_each_bundle_reads_the_prompt_itself(role: str, bundle: Bundle, pipeline: AmusedPipeline) -> None:
    """A fault before the denoiser shows in the logits, and only there."""

    def blank(outputs: Outputs) -> Outputs:
        return {name: np.zeros_like(value) for name, value in outputs.items()}

    found = compare(pipeline, spoilt(bundle, role, blank), GUIDED)
    assert found.logits.mean_kl > 1e-3
    assert found.logits.max_logit_error > 1e-3
    assert found.pictures == PERFECT_PICTURES


def test_a_decoder_off_by_16_everywhere_is_at_24_decibels(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    def shift(outputs: Outputs) -> Outputs:
        image = outputs["image"]
        return {"image": np.where(image < 128, image + np.uint8(16), image - np.uint8(16))}

    found = compare(pipeline, spoilt(bundle, "image_decoder", shift))
    assert found.pictures.psnr == found.pictures.worst_psnr == pytest.approx(24.05, abs=0.005)
    assert found.pictures.ssim is not None
    assert found.pictures.ssim < 1
    assert found.pictures.equal_codes == 1.0
    assert (found.logits.mean_kl, found.logits.equal_draws) == (0.0, 1.0)


def test_an_encoder_with_a_quarter_of_its_codes_wrong(bundle: Bundle, pipeline: AmusedPipeline) -> None:
    """Both encoders see the reference's picture."""

    def change(outputs: Outputs) -> Outputs:
        tokens = outputs["tokens"].copy()
        tokens[:, :4] = (tokens[:, :4] + 1) % 256
        return {"tokens": tokens}

    found = compare(pipeline, spoilt(bundle, "image_encoder", change))
    assert found.pictures == PictureFidelity(None, None, 1.0, 0.75)


@pytest.mark.parametrize("settings", [GUIDED, UNGUIDED], ids=["guided", "unguided"])
def test_a_bundles_logits_are_its_denoisers(pipeline: AmusedPipeline, settings: SamplerSettings) -> None:
    """u + scale (c - u) of the empty and the given prompt, written out; without guidance those of the prompt alone."""
    tokens = np.full((16, 16), pipeline.geometry.mask_token_id)
    tokens[3] = np.arange(16)
    rows = np.array([0, 17, 200])
    branches = []
    for prompt in ("", PROMPTS[0]):
        hidden = pipeline.graph("text_encoder")({"input_ids": pipeline.tokenizer([prompt])})
        conditioning = pipeline.graph("conditioner")({**hidden, "micro_conditions": pipeline.micro_conditions[None]})
        logits = pipeline.graph("denoiser")({"tokens": tokens[None], **conditioning})["logits"]
        branches.append(logits[0, rows].astype(np.float64))
    u, c = branches
    expected = u + 3.0 * (c - u) if settings.guided else c
    found = logit_source(pipeline, PROMPTS[0], settings)(0, tokens, rows)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(u - c).max() > 1e-2
