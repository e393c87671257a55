"""How near the demo's Core AI bundle comes to its checkpoint, and to ONNX. All numbers are measured by running it."""

from pathlib import Path

import numpy as np
import pytest

from amused_edge.benchmarks.subjects.teacher_forcing import follow, logit_source
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.coreai import needs_coreai
from tests.support.near_draws import differing_draws

pytestmark = needs_coreai


def test_parity_in_float32_is_that_of_onnx(demo_coreai: Path) -> None:
    manifest = Bundle.open(demo_coreai).manifest
    assert manifest.parity is not None
    assert manifest.parity.logits.mean_kl <= 1e-4
    for role in ("text_encoder", "conditioner", "denoiser"):
        assert all(error <= 1e-4 for error in manifest.parity.roles[role].values()), role
        assert manifest.graphs[role].executed_precision.endswith(" operations in float32 (as the program asks)")
    assert manifest.parity.roles["image_decoder"]["image"] <= 1
    assert manifest.parity.roles["image_encoder"]["tokens"] <= 3 / 256


def test_it_draws_the_tokens_of_onnx(demo_coreai: Path, demo_bundle: Path, demo_prompts: tuple[str, ...]) -> None:
    """The same seed; a token that is drawn otherwise was won by less than the logits differ."""
    options, prompt = GenerationOptions(seed=3, steps=6), demo_prompts[0]
    differing = 0
    with (
        AmusedPipeline(Bundle.open(demo_bundle), EngineOptions()) as onnx,
        AmusedPipeline(Bundle.open(demo_coreai), EngineOptions()) as coreai,
    ):
        settings = onnx.settings(options)
        sources = {name: logit_source(p, prompt, settings) for name, p in (("onnx", onnx), ("coreai", coreai))}
        for state in follow(sources, "coreai", onnx.geometry, settings, seed=3):
            differing += differing_draws(state, "coreai", "onnx")
        tokens = state.predicted[None]
        assert np.abs(onnx.decode(tokens).astype(int) - coreai.decode(tokens)).max() <= 1
    assert differing <= 1


@pytest.mark.parametrize("side", ["tokens", "pixels"])
def test_pictures_go_both_ways_as_with_onnx(side: str, demo_coreai: Path, demo_bundle: Path) -> None:
    """What the loop does not show: random tokens and random pixels, two at a time."""
    random = np.random.default_rng(5)
    with (
        AmusedPipeline(Bundle.open(demo_bundle), EngineOptions()) as onnx,
        AmusedPipeline(Bundle.open(demo_coreai), EngineOptions()) as coreai,
    ):
        g = onnx.geometry
        if side == "tokens":
            tokens = random.integers(0, g.codebook_size, (2, g.grid_height, g.grid_width))
            assert np.abs(onnx.decode(tokens).astype(int) - coreai.decode(tokens)).max() <= 1
        else:
            images = random.integers(0, 256, (2, g.image_height, g.image_width, 3), np.uint8)
            assert np.mean(onnx.encode(images) != coreai.encode(images)) <= 1e-3
