"""`amused-edge generate`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

import click

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.draw import draw_all, draw_files
from amused_edge.cli.outputs import OutputFiles, picture_paths
from amused_edge.cli.progress import progress
from amused_edge.runtime.errors import quoted

if TYPE_CHECKING:
    from amused_edge.runtime import Bundle, GenerationOptions, PictureParameters
    from amused_edge.runtime.tasks.kinds import Task


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("prompts", type=options.TextType(), nargs=-1, metavar="[PROMPT]...")
@click.option(
    "--prompts-file", type=click.Path(path_type=Path), help="UTF-8 text file with more prompts, one per line."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="PNG file; with several pictures -0, -1, ... is put before .png.  [default: named after the prompt]",
)
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="One PNG with all pictures in rows, instead of one file each."
)
@click.option("--columns", type=click.IntRange(1), help="Of the sheet.  [default: 4]")
@click.option(
    "--scale",
    type=click.IntRange(1),
    help="Enlarge the sheet's pictures this many times.  [default: 1]",
)
@click.option("--count", type=int, help="Pictures per prompt.  [default: 1]")
@click.option("--first", type=int, help="Index of each prompt's first picture.  [default: 0]")
@click.option("--seed", type=int, help="Of the random numbers.  [default: 0]")
@click.option(
    "--negative",
    type=options.TextType(),
    multiple=True,
    help="What to steer away from: once for all prompts, or once per prompt.",
)
@options.picture
@options.sampler
@options.control
@click.option("--like", type=click.Path(path_type=Path), help="Draw a picture of this command again, from its PNG.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Keep the state of the picture being drawn in this file; repeat the command to go on after an interruption.",
)
@click.option("--preview-dir", type=click.Path(path_type=Path), help="Folder for the picture after each step.")
@click.option("--heatmap", is_flag=True, help="Also write how sure the model was of each token: -heatmap.png.")
@click.option("--reveal", is_flag=True, help="Also write the steps as an animated PNG: -reveal.png.")
@click.option("--threads", type=int, help="Of the engine.  [default: one per usable core]")
@click.option("--low-memory", is_flag=True, help="Load each graph just before use and drop it just after.")
@click.option(
    "--cache", is_flag=True, help="Keep graphs as prepared for this CPU: later starts take less time and memory."
)
@options.simulate
@options.quiet
def generate(
    bundle: Path,
    prompts: tuple[str, ...],
    prompts_file: Path | None,
    output: Path | None,
    sheet: Path | None,
    columns: int | None,
    scale: int | None,
    like: Path | None,
    resume: Path | None,
    preview_dir: Path | None,
    heatmap: bool,
    reveal: bool,
    threads: int | None,
    low_memory: bool,
    cache: bool,
    simulate: Any,
    quiet: bool,
    **asked: Any,
) -> None:
    """Draw pictures of each PROMPT with BUNDLE. What is not given comes from the bundle.

    With --image a PROMPT makes a variation of that picture; with --mask too it repaints what the mask shows bright;
    with --outpaint it draws around the picture.
    """
    from amused_edge.runtime import CACHE_BYTES, AmusedPipeline, Bundle, EngineOptions
    from amused_edge.runtime.pictures import check_png_path, contact_sheet, write_png

    _check_usage(output, sheet, resume, preview_dir, heatmap or reveal)
    if sheet is None and (columns is not None or scale is not None):
        raise click.UsageError("--columns and --scale are for a --sheet")
    opened = Bundle.open(bundle)
    task, chosen = _task_and_options(_texts(prompts, prompts_file), like, asked, opened)
    files = OutputFiles(picture_paths(task, chosen.seed, output), heatmap, reveal, preview_dir, resume)
    if sheet is not None:
        check_png_path(sheet)
    else:
        files.check()
    engine: dict[str, Any] = {"threads": threads, "simulate": simulate, "cache_bytes": CACHE_BYTES if cache else 0}
    made = EngineOptions.low_memory(**engine) if low_memory else EngineOptions(**engine)
    with progress(quiet) as report, AmusedPipeline.from_bundle(bundle, made) as pipeline:
        if sheet is None:
            written = draw_files(pipeline, task, chosen, files, report)
        else:
            pictures = list(draw_all(pipeline, task, chosen, report))
            captions = [str(picture.prompt) for picture in pictures]
            write_png(contact_sheet([picture.image for picture in pictures], columns or 4, scale or 1, captions), sheet)
            written = [sheet]
    if not quiet and written:
        console.say("\n".join(map(str, written)))


def _check_usage(
    output: Path | None, sheet: Path | None, resume: Path | None, previews: Path | None, companions: bool
) -> None:
    if sheet is None:
        return
    if output is not None:
        raise click.UsageError("give --output or --sheet, not both")
    if resume is not None or previews is not None or companions:
        raise click.UsageError("--resume, --preview-dir, --heatmap and --reveal are for pictures in files of their own")


def _texts(prompts: Sequence[str], file: Path | None) -> list[str]:
    """Return the prompts of the command line, then those of a file."""
    from amused_edge.runtime.tasks.prompt_file import read_prompts

    return [*prompts, *(() if file is None else read_prompts(file))]


def _task_and_options(
    texts: list[str], like: Path | None, asked: dict[str, Any], bundle: "Bundle"
) -> "tuple[Task, GenerationOptions]":
    from amused_edge.runtime import GenerationOptions

    given = {name: asked[option] for option, name in _SETTINGS.items() if asked[option] is not None}
    if like is None:
        if not texts:
            raise click.UsageError("give a PROMPT, --prompts-file or --like")
        return _task(texts, asked, bundle), GenerationOptions(**given)
    if texts:
        raise click.UsageError("give prompts or --like, not both; the picture has its prompt with it")
    parameters = _like(like, asked, bundle)
    return _task_like(parameters, asked), replace(parameters.options(), **given)


_SETTINGS = {
    "seed": "seed",
    "steps": "steps",
    "guidance": "guidance_scale",
    "temperature": "temperature",
    "schedule": "schedule",
    "guidance_ramp": "guidance_ramp",
    "guidance_interval": "guidance_interval",
    "order": "order",
}
"""Option of the command -> attribute of `GenerationOptions`."""

_MICRO = ("crop_top", "crop_left", "aesthetic_score")
_COMMON = ("negative", "count", "first", *_MICRO)
"""Options that every task takes."""

_OUTPAINTING = ("strength", "feather")


def _task(texts: list[str], asked: dict[str, Any], bundle: "Bundle") -> "Task":
    from amused_edge.runtime import Inpainting, TextToImage, Variation, outpainting
    from amused_edge.runtime.tasks.kinds import KINDS

    micro = {name: asked[name] for name in _MICRO if asked[name] is not None}
    common: dict[str, Any] = {
        "negative_prompts": asked["negative"] or "",
        "pictures_per_prompt": 1 if asked["count"] is None else asked["count"],
        "first_picture": asked["first"] or 0,
        "micro_conditioning": replace(bundle.manifest.micro_conditioning, **micro) if micro else None,
    }
    kind = _kind(asked)
    taken = _OUTPAINTING if kind == "outpainting" else KINDS[kind].own
    for name in sorted(set(Inpainting.own) - set(taken)):
        if asked[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} does not belong to {kind.replace('_', ' ')}")
    own = {name: asked[name] for name in taken if asked[name] is not None}
    if kind == "variation":
        return Variation(texts, asked["image"], **own, **common)
    if kind == "inpainting":
        return Inpainting(texts, asked["image"], asked["mask"], **own, **common)
    if kind == "outpainting":
        return outpainting(texts, asked["image"], **_margins(asked), **own, **common)
    return TextToImage(texts, **common)


def _kind(asked: dict[str, Any]) -> str:
    """Return the kind of task that the options ask for."""
    if asked["mask"] is not None and asked["outpaint"] is not None:
        raise click.UsageError("give --mask or --outpaint, not both")
    if asked["image"] is None:
        if asked["mask"] is not None or asked["outpaint"] is not None:
            raise click.UsageError("--mask and --outpaint need an --image")
        return "text_to_image"
    if asked["mask"] is not None:
        return "inpainting"
    return "variation" if asked["outpaint"] is None else "outpainting"


def _margins(asked: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("left", "top", "right", "bottom"), asked["outpaint"], strict=True))


def _like(path: Path, asked: dict[str, Any], bundle: "Bundle") -> "PictureParameters":
    """Return the parameters of a picture that was drawn before; a note says if another bundle drew it."""
    from amused_edge.runtime import AmusedEdgeWarning, Inpainting, PictureParameters
    from amused_edge.runtime.pictures import read_parameters

    for name in (*_COMMON, *Inpainting.own):
        if asked[name] not in (None, ()):
            raise click.UsageError(
                f"--{name.replace('_', '-')} does not go with --like, which draws the same task again"
            )
    parameters = PictureParameters.from_json(read_parameters(path))
    if parameters.bundle_sha256 != bundle.sha256:
        warn(
            f"{path} was drawn by another bundle ({quoted(parameters.bundle_name)}); this one may draw another picture",
            AmusedEdgeWarning,
            stacklevel=2,
        )
    return parameters


def _task_like(parameters: "PictureParameters", asked: dict[str, Any]) -> "Task":
    """Return the task of a picture that was drawn before."""
    from amused_edge.runtime import outpainting
    from amused_edge.runtime.tasks.parameters import rebuild_task

    if _kind(asked) != "outpainting":
        return rebuild_task(parameters, asked["image"], asked["mask"])
    canvas = outpainting("", asked["image"], **_margins(asked))
    return rebuild_task(parameters, canvas.images[0], canvas.masks[0])
