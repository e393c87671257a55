"""`amused-edge generate`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from amused_edge.cli import options
from amused_edge.cli.progress import progress


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
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
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--negative", default="", help="What to steer away from.")
@click.option("--threads", type=int, help="Of the engine.  [default: one per core]")
@options.simulate
@options.sampler
@options.quiet
def generate(
    bundle: Path,
    prompts: tuple[str, ...],
    output: Path | None,
    sheet: Path | None,
    columns: int,
    scale: int,
    count: int,
    first: int,
    seed: int,
    negative: str,
    threads: int | None,
    simulate: Any,
    steps: int | None,
    guidance: float | None,
    temperature: Any,
    schedule: Any,
    quiet: bool,
) -> None:
    """Draw pictures of each PROMPT with BUNDLE. What is not given comes from the bundle."""
    from amused_edge.runtime import (
        AmusedPipeline,
        EngineOptions,
        GenerationOptions,
        Step,
        TextToImage,
    )
    from amused_edge.runtime.image import check_png_path, contact_sheet, write_png

    if output is not None and sheet is not None:
        raise click.UsageError("give --output or --sheet, not both")
    task = TextToImage(prompts, negative, pictures_per_prompt=count, first_picture=first)
    chosen = GenerationOptions(
        seed=seed, steps=steps, guidance_scale=guidance, temperature=temperature, schedule=schedule
    )
    engine = EngineOptions(threads=threads, simulate=simulate)
    names = [task.prompts[prompt] for prompt, _ in task.pictures()]
    paths = [sheet] if sheet is not None else _paths(output, names, seed)
    for path in paths:
        check_png_path(path)
    with progress(quiet) as report, AmusedPipeline.from_bundle(bundle, engine) as pipeline:

        def on_step(index: int, step: Step) -> None:
            done = index * step.steps + step.index + 1
            report(f"picture {index + 1} of {len(names)}", done, len(names) * step.steps)

        images = list(pipeline.generate(task, chosen, on_step=on_step).images)
    if sheet is not None:
        images = [contact_sheet(images, columns, scale, names)]
    for image, path in zip(images, paths, strict=True):
        write_png(image, path)
        if not quiet:
            click.echo(str(path))


def _paths(output: Path | None, names: Sequence[str], seed: int) -> list[Path]:
    """Return one path per picture."""
    base = output or Path(f"{_slug(names[0])}-{seed}.png")
    if len(names) == 1:
        return [base]
    return [base.with_name(f"{base.stem}-{index}{base.suffix}") for index in range(len(names))]


def _slug(prompt: str) -> str:
    """Return the prompt as a short file name, at most 60 bytes."""
    words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-").encode()[:60]
    return words.decode(errors="ignore") or "picture"
