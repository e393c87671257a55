"""A dynamic activation scale spans a whole tensor: a picture must not depend on what is drawn beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import TextToImage

OPTIONS = GenerationOptions(seed=3, steps=2)
PROMPTS = ("a drawing of a panda on a white background", "a flat icon of a bus on a black background")


def check(bundle: Path) -> None:
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        together = pipeline.generate(TextToImage(PROMPTS, first_picture=1), OPTIONS)
        alone = pipeline.generate(TextToImage(PROMPTS[1], first_picture=1), OPTIONS)
        *_, streamed = pipeline.stream(TextToImage(PROMPTS, first_picture=1), OPTIONS)
    np.testing.assert_array_equal(together.tokens[1], alone.tokens[0])
    np.testing.assert_array_equal(together.images[1], alone.images[0])
    np.testing.assert_array_equal(streamed.tokens, together.tokens)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["w8", "w8a8", "w4"])
def test_a_picture_is_the_same_alone_and_among_others(quantized_demo: Callable[[str], Path], recipe: str) -> None:
    check(quantized_demo(recipe))


def test_scales_per_row_and_block(tiny_bundle: Bundle, tmp_path: Path) -> None:
    options = QuantizeOptions(PROMPTS, calibration_prompts=1, fidelity_prompts=1)
    check(quantize_bundle(tiny_bundle.path, tmp_path / "blocks", "w8a8-blocks", options).path)
