"""`amused-edge video`: its arguments."""

from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import click
from click import Choice
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.clip_outputs import ClipFiles
from amused_edge.cli.clip_request import clip_of
from amused_edge.cli.command import Command
from amused_edge.cli.outputs import default_path
from amused_edge.cli.progress import progress
from amused_edge.cli.task_request import TaskRequest, task_and_options
from amused_edge.cli.values import PATH, ListOf, Numbers, TextType
from amused_edge.runtime.pictures.sources import FITS
from amused_edge.runtime.tasks.clip import PANS, ZOOMS


@click.command(
    cls=Command,
    short_help="Draw a moving picture with a bundle.",
    examples=(
        'amused-edge video BUNDLE "a panda" --pan right --frames 16 -o panda.webp',
        'amused-edge video BUNDLE "a fox" --image fox.png --zoom in -o fox.mp4',
    ),
)
@click.argument("bundle", type=PATH)
@click.argument("prompt", type=TextType(), required=False)
@option_group(
    "Clip and output",
    option(
        "-o",
        "--output",
        type=PATH,
        metavar="FILE",
        help="WebP, GIF, animated PNG or MP4, by its name.  [default: WebP named after the prompt]",
    ),
    option("--frames", type=int, metavar="N", help="Pictures of the clip.  [default: 8]"),
    option("--fps", type=float, metavar="X", default=8.0, show_default=True, help="Frames shown per second."),
    option("--seed", type=int, metavar="N", help="Of the random numbers.  [default: 0]"),
    option("--frames-out", type=PATH, metavar="FOLDER", help="Also each frame as a PNG with its parameters."),
)
@option_group(
    "Motion",
    option(
        "--motion",
        type=Numbers(float, "X,Y"),
        help="Shares of the picture per frame, to the right and down.  [default: 1/32 each]",
    ),
    option("--motion-field", type=PATH, metavar="FILE", help="X,Y of each frame after the first: JSON, or lines."),
    option(
        "--pan", type=Choice(PANS), help="Look to a side, by 1/16 of the picture per frame; a loop goes once around."
    ),
    option("--zoom", type=Choice(ZOOMS), help="Into or out of the picture, by 6 % per frame."),
    option(
        "--refresh",
        type=ListOf(float, repeated=True),
        help="Share of kept tokens that is drawn anew, of all frames or each.  [default: 0.13; 0 with --pan, --zoom]",
    ),
    option("--loop", is_flag=True, default=None, help="Let the last frame lead to the first."),
)
@option_group(
    "Starting picture",
    option("--image", type=PATH, metavar="FILE", help="Picture to start from."),
    option("--strength", type=float, metavar="X", help="Share of the steps that change it.  [default: 0]"),
    option("--fit", type=Choice(FITS), help="How the picture is brought to size.  [default: crop]"),
)
@option_group("Sampler", *options.SAMPLER, *options.STEERING)
@option_group(
    "Conditioning",
    option("--negative", type=TextType(), multiple=True, help="To steer away from."),
    options.weights,
    *options.MICRO,
)
@option_group(
    "Going on",
    option("--like", type=PATH, metavar="FILE", help="Draw a clip again from a PNG: one of its frames, or animated."),
    option(
        "--resume",
        type=PATH,
        metavar="FILE",
        help="Keep the state of the clip here; repeat the command to go on after an interruption.",
    ),
)
@option_group("Engine", *options.ENGINE)
@options.quiet
def video(
    bundle: Path,
    prompt: str | None,
    output: Path | None,
    fps: float,
    frames_out: Path | None,
    resume: Path | None,
    threads: int | None,
    low_memory: bool,
    cache: bool,
    simulate: Any,
    quiet: bool,
    **given: Any,
) -> None:
    """Draw a clip of PROMPT with BUNDLE: its first frame as any picture, each other from the one before, which is moved
    and in part drawn anew. What is not given comes from the bundle.
    """
    from amused_edge.runtime import AmusedPipeline, Bundle
    from amused_edge.runtime.video.draw import check_first

    opened = Bundle.open(bundle)
    task, chosen = task_and_options(_request(prompt, given), opened)
    check_first(task)
    clip = clip_of(given)
    path = default_path(task, chosen.seed, ".webp") if output is None else output
    files = ClipFiles(path, clip.frames, fps, frames_out, resume)
    files.check()
    engine = options.engine(threads, low_memory, cache, simulate)
    with progress(quiet) as report, AmusedPipeline.from_bundle(opened, engine) as pipeline:
        files.draw(pipeline, task, clip, chosen, report)
    if not quiet:
        console.say(str(path))


class _FirstFrame(TaskRequest):
    clip: ClassVar[bool] = True


def _request(prompt: str | None, given: dict[str, Any]) -> TaskRequest:
    """Return what the first frame is asked to be; a picture to start from stays as it is."""
    if prompt is None and given["like"] is None:
        raise click.UsageError("give a PROMPT or --like")
    wanted: dict[str, Any] = {field.name: given.get(field.name) for field in fields(TaskRequest)}
    wanted["prompts"] = () if prompt is None else (prompt,)
    if given["image"] is not None and given["strength"] is None and given["like"] is None:
        wanted["strength"] = 0.0
    return _FirstFrame(**wanted)
