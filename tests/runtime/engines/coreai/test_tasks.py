"""Every task on a Core AI bundle: the demo's in float32 beside ONNX's, token by token, and a picture that goes on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage, Variation, outpainting
from amused_edge.runtime.tasks.state import PictureState
from tests.support.coreai import needs_coreai

pytestmark = needs_coreai

PROMPT = "a drawing of a panda on a yellow background"
FEW = GenerationOptions(seed=11, steps=3)


@pytest.fixture(scope="module")
def pipelines(demo_bundle: Path, demo_coreai: Path) -> Iterator[dict[str, AmusedPipeline]]:
    folders = {"onnx": demo_bundle, "coreai": demo_coreai}
    opened = {name: AmusedPipeline(Bundle.open(folder), EngineOptions()) for name, folder in folders.items()}
    yield opened
    for pipeline in opened.values():
        pipeline.close()


def tasks(picture: Image.Image) -> dict[str, Task]:
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 8:40] = 255
    return {
        "text to image": TextToImage(PROMPT),
        "variation": Variation(PROMPT, picture, strength=0.7),
        "in-painting": Inpainting(PROMPT, picture, Image.fromarray(mask)),
        "out-painting": outpainting(PROMPT, picture.resize((32, 32)), left=16, right=16, top=16, bottom=16),
    }


@pytest.mark.parametrize("kind", ["text to image", "variation", "in-painting", "out-painting"])
def test_a_task_draws_what_onnx_draws(kind: str, pipelines: dict[str, AmusedPipeline]) -> None:
    """The logits of both are equal to 1e-4, so that of 256 tokens hardly one is drawn otherwise."""
    ramp = np.linspace(0, 255, 64)
    picture = Image.fromarray(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128.0), -1).astype(np.uint8))
    task = tasks(picture)[kind]
    drawn = {name: pipeline.generate(task, FEW) for name, pipeline in pipelines.items()}
    assert np.mean(drawn["onnx"].tokens == drawn["coreai"].tokens) >= 0.99
    assert drawn["coreai"].images.shape == drawn["onnx"].images.shape


def test_a_picture_goes_on_where_it_was_left(tiny_coreai: Path) -> None:
    options = GenerationOptions(seed=4, steps=4)
    with AmusedPipeline(Bundle.open(tiny_coreai), EngineOptions()) as pipeline:
        expected = pipeline.generate(PROMPT, options)
        (state,) = pipeline.begin(PROMPT, options)
        for step in pipeline.stream(PROMPT, options):
            state = state.after(step)
            if state.next_step == 2:
                break
        saved = state.to_json()
    with AmusedPipeline(Bundle.open(tiny_coreai), EngineOptions()) as another:
        state = PictureState.from_json(saved)
        for step in another.resume(state):
            state = state.after(step)
        finished = another.finish(state)
    assert np.array_equal(finished.image, expected.images[0])
