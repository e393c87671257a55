"""The pictures of the guides in docs/drawing, drawn by the demo bundle.

`python -m amused_edge.benchmarks.scripts.guide_pictures BUNDLE FOLDER`
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from amused_edge.runtime.pictures import ImageArray, check_png_path, contact_sheet, write_animation, write_png
from amused_edge.runtime.pictures.heat_map import heat_map
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.system.scripts import run
from amused_edge.runtime.tasks.kinds import Inpainting, Task, Variation, outpainting

FOX = "a flat icon of a fox on a blue background"
PANDA = "a flat icon of a panda on a blue background"
SCALE = 3
SECONDS = 0.35
NAMES = ("variation", "inpainting", "steering", "heatmap", "reveal")


def variation(pipeline: AmusedPipeline, fox: ImageArray) -> ImageArray:
    """A picture and its variations by strength, for its own prompt and for another."""
    images, captions = [], []
    for prompt, name in ((FOX, "the same prompt"), (PANDA, "a panda")):
        images.append(fox)
        captions.append("the picture")
        for strength in (0.3, 0.5, 0.7, 0.9):
            images.append(_draw(pipeline, Variation(prompt, fox, strength)))
            captions.append(f"{name}, strength {strength}")
    return contact_sheet(images, 5, SCALE, captions)


def inpainting(pipeline: AmusedPipeline, fox: ImageArray) -> ImageArray:
    """Masks and what they give; a picture with a border drawn around it."""
    height, width = fox.shape[:2]
    half, centre = np.zeros((2, height, width), np.uint8)
    half[:, width // 2 :] = 255
    centre[height // 4 : -height // 4, width // 4 : -width // 4] = 255
    small = np.asarray(Image.fromarray(fox).resize((width // 2, height // 2), Image.Resampling.LANCZOS))
    margins = {"left": width // 4, "right": width // 4, "top": height // 4, "bottom": height // 4}
    drawn = {
        "the picture": fox,
        "a mask": half[:, :, None].repeat(3, 2),
        "a panda": _draw(pipeline, Inpainting(PANDA, fox, half)),
        "a panda, feather 12": _draw(pipeline, Inpainting(PANDA, fox, half, feather=12)),
        "a panda in the centre": _draw(pipeline, Inpainting(PANDA, fox, centre)),
        "a fox drawn around it": _draw(pipeline, outpainting(FOX, small, **margins)),
    }
    return contact_sheet(list(drawn.values()), 6, SCALE, list(drawn))


def steering(pipeline: AmusedPipeline) -> ImageArray:
    """Two prompts by way of steering."""
    ways = {
        "defaults": GenerationOptions(),
        "guidance 3": GenerationOptions(guidance_scale=3.0),
        "guidance 3, linear ramp": GenerationOptions(guidance_scale=3.0, guidance_ramp="linear"),
        "guidance 3, second half": GenerationOptions(guidance_scale=3.0, guidance_interval=(0.5, 1.0)),
        "temperature 0": GenerationOptions(temperature=(0.0, 0.0)),
        "linear schedule": GenerationOptions(schedule="linear"),
        "Halton order": GenerationOptions(order="halton"),
        "6 steps, Halton order": GenerationOptions(order="halton", steps=6),
    }
    prompts = ("a drawing of a unicorn on a yellow background", "a 3d render of a guitar on a white background")
    images = [image for prompt in prompts for way in ways.values() for image in pipeline.generate(prompt, way).images]
    return contact_sheet(images, len(ways), 2, [*ways, *ways])


def reveal(pipeline: AmusedPipeline) -> list[ImageArray]:
    """Each step's picture beside where its tokens are still masked."""
    frames = []
    for step in pipeline.stream(FOX):
        image = pipeline.preview(step)[0]
        frames.append(contact_sheet([image, heat_map(image, step.probability[0], step.mask[0])], 2, SCALE))
    return frames


def heat(pipeline: AmusedPipeline) -> ImageArray:
    """Pictures and how sure the model was of their tokens."""
    result = pipeline.generate([FOX, PANDA, "a drawing of a castle on a yellow background"])
    images = [
        each
        for image, probability in zip(result.images, result.probability, strict=True)
        for each in (image, heat_map(image, probability))
    ]
    return contact_sheet(images, 6, SCALE)


def _draw(pipeline: AmusedPipeline, task: Task) -> ImageArray:
    image: ImageArray = pipeline.generate(task).images[0]
    return image


def draw_guide(bundle: Path, folder: Path) -> None:
    """Draw every picture of the guides into a folder; raises `OutputExistsError` before any work if one is there."""
    for name in NAMES:
        check_png_path(folder / f"{name}.png")
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        fox = pipeline.generate(FOX).images[0]
        sheets = {
            "variation": variation(pipeline, fox),
            "inpainting": inpainting(pipeline, fox),
            "steering": steering(pipeline),
            "heatmap": heat(pipeline),
        }
        frames = reveal(pipeline)
    for name, sheet in sheets.items():
        write_png(sheet, folder / f"{name}.png")
    write_animation(frames, folder / "reveal.png", SECONDS)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the guides.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    draw_guide(chosen.bundle, chosen.folder)


if __name__ == "__main__":
    run(_main)
