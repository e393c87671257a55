"""What calibration sees, against sessions of the parent's own files that show the same values.

The recorder below keeps what a plain pipeline feeds each graph; from there on NumPy in float64 is the judge.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.calibration import CONDITIONED_PER_DRAWN, SEED
from amused_edge.quantization.onnx.apply import what_to_watch
from amused_edge.quantization.onnx.calibration import Observations, Watch, observe
from amused_edge.quantization.onnx.plan import GraphPlan, read_weights
from amused_edge.quantization.recipes.rules import Calibration, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.options import CPU_PROVIDER
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import TextToImage

PROMPTS = ("a fox", "a drawing of a panda", "a blue bus")

PRODUCTS = {
    "text_encoder": {"text_model.encoder.layers.1.mlp.fc2.weight", "text_projection.weight"},
    "conditioner": {"encoder_proj.weight", "transformer_layers.0.norm1.linear.weight"},
    "denoiser": {"transformer_layers.1.ff.net.2.weight", "mlm_layer.conv1.weight"},
}
"""Weights whose inputs have two axes, three and four; one is the graph's own input."""

RANGES = {
    "image_decoder": {"decoder.conv_in.weight", "decoder.up_blocks.1.resnets.0.conv_shortcut.weight"},
    "image_encoder": {"encoder.conv_in.weight", "encoder.down_blocks.0.downsamplers.0.conv.weight"},
}


class Recorder:
    """Loads graphs that keep what they are given."""

    def __init__(self) -> None:
        self.fed: defaultdict[str, list[Arrays]] = defaultdict(list)

    def load(self, bundle: Bundle, role: str, options: EngineOptions) -> Graph:
        graph, fed = load_graph(bundle, role, options), self.fed[role]

        class Recording:
            def __call__(self, inputs: Arrays, cancellation: Any = None) -> dict[str, NDArray[Any]]:
                fed.append(inputs)
                return graph(inputs)

            def close(self) -> None:
                graph.close()

        return Recording()


def draw(bundle: Bundle, pictures: Sequence[tuple[str, int]], alone: Sequence[str] = ()) -> dict[str, list[Arrays]]:
    """Return what goes into each graph when these (prompt, picture) are drawn, and these prompts then conditioned."""
    recorder = Recorder()
    with AmusedPipeline(bundle, EngineOptions(remembered_prompts=0), load=recorder.load) as pipeline:
        for prompt, picture in pictures:
            images = pipeline.generate(TextToImage(prompt, first_picture=picture), GenerationOptions(seed=SEED)).images
            pipeline.encode(images)
        for prompt in alone:
            pipeline.condition([prompt])
    return recorder.fed


def values(bundle: Bundle, role: str, names: set[str], fed: list[Arrays]) -> dict[str, list[NDArray[Any]]]:
    """Return inner values of the parent's graph, one for each call."""
    model = onnx.load(str(bundle.path / f"{role}.onnx"))
    given = {value.name for value in model.graph.input}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names - given))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=[CPU_PROVIDER])
    inner = sorted(names - given)
    calls = [{**feeds, **dict(zip(inner, session.run(inner, dict(feeds)), strict=True))} for feeds in fed]
    return {name: [call[name] for call in calls] for name in names}


def plan_of(bundle: Bundle, role: str) -> GraphPlan:
    """Rules that make calibration look at the weights above."""
    plan = read_weights(bundle, role)
    for name in PRODUCTS.get(role, ()):
        plan.rules[name] = Rule("*", bits=4, block=32, rounding="feedback")
    for name in RANGES.get(role, ()):
        plan.rules[name] = Rule("*", bits=8, activations="static")
    return plan


def watched(bundle: Bundle, role: str) -> Watch:
    watch = what_to_watch(plan_of(bundle, role))
    assert watch is not None
    return watch


def seen_by(
    bundle: Bundle, roles: Sequence[str], prompts: Sequence[str], calibration: Calibration
) -> dict[str, Observations]:
    plans = {role: (plan_of(bundle, role).model, watched(bundle, role)) for role in roles}
    return observe(bundle, plans, calibration, prompts)


@pytest.fixture(scope="module")
def everything(tiny_bundle: Bundle) -> dict[str, Observations]:
    """Two pictures of three prompts, all graphs watched at once."""
    return seen_by(tiny_bundle, [*PRODUCTS, *RANGES], PROMPTS, Calibration(prompts=2, ranges="minmax"))


@pytest.fixture(scope="module")
def fed(tiny_bundle: Bundle) -> dict[str, list[Arrays]]:
    return draw(tiny_bundle, [(PROMPTS[0], 0), (PROMPTS[1], 1)], PROMPTS)


@pytest.mark.parametrize("role", PRODUCTS)
def test_products_are_those_of_the_values(
    tiny_bundle: Bundle, everything: dict[str, Observations], fed: dict[str, list[Arrays]], role: str
) -> None:
    names = watched(tiny_bundle, role).products
    assert len(names) == 2
    assert set(everything[role].products) == names
    for name, calls in values(tiny_bundle, role, names, fed[role]).items():
        rows = np.concatenate([call.reshape(-1, call.shape[-1]) for call in calls]).astype(np.float64)
        product = everything[role].products[name]
        assert product.dtype == np.float64
        # Each call is summed in float32: relative to the largest entry, some hundred rows give 1e-6 at most.
        expected = rows.T @ rows
        np.testing.assert_allclose(product, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("role", RANGES)
def test_ranges_span_the_values(
    tiny_bundle: Bundle, everything: dict[str, Observations], fed: dict[str, list[Arrays]], role: str
) -> None:
    names = watched(tiny_bundle, role).ranges
    assert len(names) == 4
    assert set(everything[role].ranges) == names
    for name, calls in values(tiny_bundle, role, names, fed[role]).items():
        low = min(0.0, *(float(call.min()) for call in calls))
        high = max(0.0, *(float(call.max()) for call in calls))
        found = everything[role].ranges[name]
        assert found.scale == pytest.approx((high - low) / 255, rel=1e-4)
        # The zero point is a whole number, so both ends may be cut by half a step.
        assert -found.zero_point * found.scale <= low + 0.501 * found.scale
        assert (255 - found.zero_point) * found.scale >= high - 0.501 * found.scale


@pytest.mark.parametrize("kind", ["percentile", "mse"])
def test_other_ranges_lie_within_the_whole(tiny_bundle: Bundle, everything: dict[str, Observations], kind: Any) -> None:
    calibration = Calibration(prompts=2, ranges=kind)
    seen = seen_by(tiny_bundle, ["image_decoder"], PROMPTS, calibration)["image_decoder"].ranges
    whole = everything["image_decoder"].ranges
    assert set(seen) == set(whole)
    assert all(0 < seen[name].scale <= whole[name].scale * (1 + 1e-6) for name in whole)


def test_too_few_prompts_are_drawn_again_with_other_noise(tiny_bundle: Bundle) -> None:
    name = next(iter(watched(tiny_bundle, "denoiser").products))

    @cache
    def product(count: int) -> NDArray[np.float64]:
        return seen_by(tiny_bundle, ["denoiser"], PROMPTS[:1], Calibration(prompts=count))["denoiser"].products[name]

    both = draw(tiny_bundle, [(PROMPTS[0], 0), (PROMPTS[0], 1)])["denoiser"]
    calls = values(tiny_bundle, "denoiser", {name}, both)[name]
    halves = [
        sum(rows.T @ rows for call in part for rows in [call.reshape(-1, call.shape[-1]).astype(np.float64)])
        for part in (calls[: len(calls) // 2], calls[len(calls) // 2 :])
    ]
    largest = np.abs(halves[0]).max()
    assert np.abs(halves[1] - halves[0]).max() > 1e-3 * largest  # the second picture is another one
    np.testing.assert_allclose(product(1), halves[0], rtol=0, atol=1e-5 * largest)
    np.testing.assert_allclose(product(2), halves[0] + halves[1], rtol=0, atol=2e-5 * largest)


def test_the_text_side_sees_more_prompts_and_draws_nothing(tiny_bundle: Bundle) -> None:
    prompts = [f"a fox {number}" for number in range(CONDITIONED_PER_DRAWN + 1)]
    told: list[tuple[int, int]] = []
    watch = watched(tiny_bundle, "text_encoder")
    plans = {"text_encoder": (plan_of(tiny_bundle, "text_encoder").model, watch)}
    seen = observe(tiny_bundle, plans, Calibration(prompts=1), prompts, on_picture=lambda i, n: told.append((i, n)))[
        "text_encoder"
    ]
    assert told == []
    calls = values(tiny_bundle, "text_encoder", watch.products, draw(tiny_bundle, [], prompts[:-1])["text_encoder"])
    for name, parts in calls.items():
        rows = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts]).astype(np.float64)
        expected = rows.T @ rows
        np.testing.assert_allclose(seen.products[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_pictures_are_told_and_the_graphs_stay_as_they_were(tiny_bundle: Bundle) -> None:
    """Inner values are outputs only while calibration runs: the same model is quantized and written afterwards."""
    plan, told = plan_of(tiny_bundle, "image_decoder"), []
    before = [value.name for value in plan.model.graph.outputs]
    watch = watched(tiny_bundle, "image_decoder")
    observe(
        tiny_bundle,
        {"image_decoder": (plan.model, watch)},
        Calibration(prompts=3),
        PROMPTS[:2],
        on_picture=lambda index, total: told.append((index, total)),
    )
    assert told == [(0, 3), (1, 3), (2, 3)]
    assert [value.name for value in plan.model.graph.outputs] == before == ["image"]


def test_nothing_is_watched_where_no_rule_needs_it(tiny_bundle: Bundle) -> None:
    plan = read_weights(tiny_bundle, "denoiser")
    assert what_to_watch(plan) is None
    plan.rules = {name: Rule("*", bits=8, block=32) for name in plan.rules}
    assert what_to_watch(plan) is None
