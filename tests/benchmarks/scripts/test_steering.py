"""The table of what steering does, and the pictures of the guides, on the demo with few prompts and steps."""

from pathlib import Path

import numpy as np

from amused_edge.benchmarks.metrics.pictures import psnr
from amused_edge.benchmarks.quality.instruments.judge import Judge
from amused_edge.benchmarks.scripts import guide_pictures
from amused_edge.benchmarks.scripts.steering import WAYS, measure, table
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from tests.support.paths import ROOT


def test_the_measure_is_the_psnr_to_the_true_picture(demo_bundle: Path) -> None:
    judge = Judge(ROOT / "demo" / "judge")
    prompts = judge.prompts[:2]
    few = GenerationOptions(steps=2)
    found = measure(demo_bundle, judge, prompts, {"few": few})
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        images = pipeline.generate(prompts, few).images
    expected = [psnr(judge.truth(prompt), image) for prompt, image in zip(prompts, images, strict=True)]
    assert list(found) == ["few"]
    np.testing.assert_allclose(found["few"], expected)


def test_a_difference_within_its_interval_is_none() -> None:
    values = np.linspace(20, 30, 40)
    shifted = values + np.where(np.arange(40) % 2, 1.0, -1.0)
    rows = table({"a": values, "b": values + 2.0, "c": shifted})[2:]
    assert rows[0] == "| a | 25.0 | |"
    assert rows[1] == "| b | 27.0 | +2.0 (+2.0 to +2.0) |"
    assert rows[2].startswith("| c | 25.0 | none: +0.0 (")


def test_ways_are_valid_and_distinct() -> None:
    assert len(set(WAYS.values())) == len(WAYS)


def test_the_guides_pictures_are_drawn(demo_bundle: Path) -> None:
    """Those that are quick; their parts are tested where they are made."""
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        fox = pipeline.generate(guide_pictures.FOX).images[0]
        sheet = guide_pictures.inpainting(pipeline, fox)
        frames = guide_pictures.reveal(pipeline)
    assert sheet.shape[1] > 6 * 64 * guide_pictures.SCALE
    assert len(frames) == 12
    assert len({frame.tobytes() for frame in frames}) == 12
