"""The moving pictures of docs/drawing/video.md, drawn by the demo bundle, and all their frames on one sheet.

`python -m amused_edge.benchmarks.scripts.guide_clips BUNDLE FOLDER SHEET` writes FOLDER/video.webp and SHEET, a PNG.
"""

import argparse
from pathlib import Path

from amused_edge.runtime.pictures import check_png_path, contact_sheet, write_png
from amused_edge.runtime.pictures.clips import check_clip_path, write_clip
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.system.scripts import run
from amused_edge.runtime.tasks.clip import Clip, pan, zoom

FRAMES, FPS = 16, 8.0
FOX = "a 3d render of a fox on a blue background"
CLIPS = {
    "in place, a loop": ("a flat icon of a sailboat on a black background", Clip(FRAMES, loop=True, refresh=0.3)),
    "pan right, a loop": (FOX, Clip(FRAMES, loop=True, **pan("right", FRAMES, loop=True))),
    "pan up": ("a flat icon of a bus on a white background", Clip(FRAMES, **pan("up"))),
    "zoom out": ("a drawing of a sunflower on a yellow background", Clip(FRAMES, **zoom("out"))),
    "as the reference moves": (FOX, Clip(FRAMES)),
}


def draw(bundle: Path, folder: Path, still: Path) -> None:
    """Draw the clips and write both files."""
    moving = folder / "video.webp"
    check_clip_path(moving)
    check_png_path(still)
    with AmusedPipeline.from_bundle(bundle) as pipeline:
        clips = [[frame.picture.image for frame in pipeline.video(*each)] for each in CLIPS.values()]
    frames = [contact_sheet(images, len(CLIPS), 2, list(CLIPS)) for images in zip(*clips, strict=True)]
    write_clip(frames, moving, FPS)
    write_png(contact_sheet([image for clip in clips for image in clip], FRAMES), still)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    draw(arguments.bundle, arguments.folder, arguments.sheet)


if __name__ == "__main__":
    run(main)
