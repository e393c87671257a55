"""`amused-edge generate`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from amused_edge.cli import options
from amused_edge.cli.outputs import Outputs
from amused_edge.cli.progress import progress

if TYPE_CHECKING:
    from amused_edge.runtime import GenerationOptions, PictureParameters
    from amused_edge.runtime.tasks import Task


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option("--prompts-file", type=click.Path(path_type=Path), help="Text file with more prompts, one per line.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="PNG file; with several pictures -0, -1, ... is put before .png.  [default: named after the prompt]",
)
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="One PNG with all pictures in rows, instead of one file each."
)
@click.option("--columns", type=click.IntRange(1), default=4, show_default=True, help="Of the sheet.")
@click.option(
    "--scale",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Enlarge the sheet's pictures this many times.",
)
@click.option("--count", type=int, default=1, show_default=True, help="Pictures per prompt.")
@click.option("--first", type=int, default=0, show_default=True, help="Index of each prompt's first picture.")
@click.option("--seed", type=int, help="Of the random numbers.  [default: 0]")
@click.option("--negative", multiple=True, help="What to steer away from: once for all prompts, or once per prompt.")
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
@click.option("--threads", type=int, help="Of the engine.  [default: one per core]")
@click.option("--low-memory", is_flag=True, help="Load each graph just before use and drop it just after.")
@options.simulate
@options.quiet
def generate(
    bundle: Path,
    prompts: tuple[str, ...],
    prompts_file: Path | None,
    output: Path | None,
    sheet: Path | None,
    columns: int,
    scale: int,
    like: Path | None,
    resume: Path | None,
    preview_dir: Path | None,
    heatmap: bool,
    reveal: bool,
    threads: int | None,
    low_memory: bool,
    simulate: Any,
    quiet: bool,
    **asked: Any,
) -> None:
    """Draw pictures of each PROMPT with BUNDLE. What is not given comes from the bundle.

    With --image a PROMPT makes a variation of that picture; with --mask too it repaints what the mask shows bright;
    with --outpaint it draws around the picture.
    """
    from amused_edge.runtime import AmusedPipeline, EngineOptions

    if output is not None and sheet is not None:
        raise click.UsageError("give --output or --sheet, not both")
    if sheet is not None and resume is not None:
        raise click.UsageError("--resume is for pictures in files of their own, not for a --sheet")
    task, chosen = _task_and_options(_texts(prompts, prompts_file), like, asked)
    outputs = Outputs.of(task, chosen.seed, output, sheet, preview_dir, heatmap, reveal, resume)
    outputs.check()
    if low_memory:
        engine = EngineOptions.low_memory(threads, simulate=simulate)
    else:
        engine = EngineOptions(threads=threads, simulate=simulate)
    with progress(quiet) as report, AmusedPipeline.from_bundle(bundle, engine) as pipeline:
        paths = outputs.draw(pipeline, task, chosen, report)
        if sheet is not None:
            outputs.write_sheet(sheet, columns, scale)
            paths.append(sheet)
    if not quiet:
        click.echo("\n".join(map(str, paths)))


def _texts(prompts: Sequence[str], file: Path | None) -> list[str]:
    """Return the prompts of the command line, then those of a file."""
    texts = list(prompts)
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"cannot read {file}: {error}") from error
        texts += [line for line in lines if line]
        if not texts:
            raise click.UsageError(f"{file} holds no prompt")
    return texts


def _task_and_options(texts: list[str], like: Path | None, asked: dict[str, Any]) -> "tuple[Task, GenerationOptions]":
    from amused_edge.runtime import GenerationOptions, PictureParameters
    from amused_edge.runtime.pictures import read_parameters

    settings = {name: asked.pop(name) for name in _SETTINGS}
    given = {_SETTINGS[name]: value for name, value in settings.items() if value is not None}
    if like is not None:
        if texts:
            raise click.UsageError("give prompts or --like, not both; the picture has its prompt with it")
        parameters = PictureParameters.from_json(read_parameters(like))
        return _task_like(parameters, asked), replace(parameters.options(), **given)
    if not texts:
        raise click.UsageError("give a PROMPT, --prompts-file or --like")
    return _task(texts, asked), GenerationOptions(**given)


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

_OWN = {
    "variation": ("strength", "fit"),
    "inpainting": ("strength", "fit", "coverage", "paste_back", "feather"),
    "outpainting": ("strength", "feather"),
}
"""Options of the command that a task with a picture takes."""


def _task(texts: list[str], asked: dict[str, Any]) -> "Task":
    from amused_edge.runtime import Inpainting, MicroConditioning, TextToImage, Variation, outpainting

    image, mask, margins = asked["image"], asked["mask"], asked["outpaint"]
    common: dict[str, Any] = {
        "negative_prompts": asked["negative"] or "",
        "pictures_per_prompt": asked["count"],
        "first_picture": asked["first"],
    }
    micro = {name: asked[name] for name in asdict(MicroConditioning()) if asked[name] is not None}
    common["micro_conditioning"] = MicroConditioning(**micro) if micro else None
    kind = _kind(asked)
    own = {name: asked[name] for name in _OWN.get(kind, ()) if asked[name] is not None}
    if kind == "variation":
        return Variation(texts, image, **own, **common)
    if kind == "inpainting":
        return Inpainting(texts, image, mask, **own, **common)
    if kind == "outpainting":
        left, top, right, bottom = margins
        return outpainting(texts, image, left=left, top=top, right=right, bottom=bottom, **own, **common)
    return TextToImage(texts, **common)


def _kind(asked: dict[str, Any]) -> str:
    """Return the kind of task that the options ask for, or say which option does not belong to it."""
    if asked["mask"] is not None and asked["outpaint"] is not None:
        raise click.UsageError("give --mask or --outpaint, not both")
    kind = "text to image"
    if asked["image"] is not None:
        kind = "variation"
    if asked["mask"] is not None:
        kind = "inpainting"
    if asked["outpaint"] is not None:
        kind = "outpainting"
    if kind != "text to image" and asked["image"] is None:
        raise click.UsageError("--mask and --outpaint need an --image")
    for name in {name for names in _OWN.values() for name in names} - set(_OWN.get(kind, ())):
        if asked[name] is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} does not belong to {kind}")
    return kind


def _task_like(parameters: "PictureParameters", asked: dict[str, Any]) -> "Task":
    """Return the task of a picture that was drawn before."""
    from amused_edge.runtime import outpainting
    from amused_edge.runtime.parameters import rebuilt

    if asked["outpaint"] is None:
        return rebuilt(parameters, asked["image"], asked["mask"])
    left, top, right, bottom = asked["outpaint"]
    canvas = outpainting("", asked["image"], left=left, top=top, right=right, bottom=bottom)
    return rebuilt(parameters, canvas.images[0], canvas.masks[0])
