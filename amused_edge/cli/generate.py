"""`amused-edge generate`: its arguments."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click import Choice, IntRange
from cloup import option, option_group

from amused_edge.cli import cluster, console, options
from amused_edge.cli.command import Command
from amused_edge.cli.draw import draw
from amused_edge.cli.outputs import OutputRequest
from amused_edge.cli.progress import progress
from amused_edge.cli.task_request import TaskRequest, task_and_options
from amused_edge.cli.values import PATH, Numbers, TextType
from amused_edge.runtime.pictures.masks import COVERAGES
from amused_edge.runtime.pictures.sources import FITS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from amused_edge.benchmarks.prediction.plan import Drawing
    from amused_edge.runtime import Bundle, EngineOptions, GenerationOptions
    from amused_edge.runtime.tasks.kinds import Task

R = TypeVar("R", bound="DataclassInstance")


@click.command(
    cls=Command,
    short_help="Draw pictures with a bundle.",
    examples=(
        'amused-edge generate BUNDLE "a panda" "a castle" --count 2 --seed 7',
        'amused-edge generate BUNDLE "a fox" --image cat.png --strength 0.7 -o fox.png',
    ),
)
@click.argument("bundle", type=PATH)
@click.argument("prompts", type=TextType(), nargs=-1, metavar="[PROMPT]...")
@option_group(
    "Pictures and output",
    option(
        "-o",
        "--output",
        type=PATH,
        metavar="FILE",
        help="PNG file; with several pictures -0, -1, ... is put before .png.  [default: named after the first prompt]",
    ),
    option("--count", type=int, metavar="N", help="Pictures per prompt.  [default: 1]"),
    option("--seed", type=int, metavar="N", help="Of the random numbers.  [default: 0]"),
    option("--prompts-file", type=PATH, metavar="FILE", help="UTF-8 text with more prompts, one per line."),
    option("--sheet", type=PATH, metavar="FILE", help="One PNG with all pictures in rows, not a file each."),
    option("--columns", type=IntRange(1), metavar="N", help="Of the sheet.  [default: 4]"),
    option("--scale", type=IntRange(1), metavar="N", help="Enlarge its pictures.  [default: 1]"),
    option("--heatmap", is_flag=True, help="Also how sure the model was: -heatmap.png."),
    option("--reveal", is_flag=True, help="Also the steps as an animated PNG: -reveal.png."),
    option("--preview-dir", type=PATH, metavar="FOLDER", help="For the picture after each step."),
    option("--first", type=int, metavar="N", help="Index of each prompt's first picture.  [default: 0]"),
)
@option_group(
    "Starting picture",
    option("--image", type=PATH, metavar="FILE", help="Picture to start from."),
    option("--mask", type=PATH, metavar="FILE", help="Bright where --image is to be repainted."),
    option("--outpaint", type=Numbers(int, "LEFT,TOP,RIGHT,BOTTOM"), help="Pixels to draw around the picture."),
    option("--strength", type=float, metavar="X", help="Share of the steps.  [default: 0.5, with a mask 1]"),
    option("--fit", type=Choice(FITS), help="How the picture is brought to size.  [default: crop]"),
    option(
        "--coverage",
        type=Choice(COVERAGES),
        help="Tokens that the mask takes: covered by half, or by any pixel.  [default: half]",
    ),
    option(
        "--paste-back/--no-paste-back",
        default=None,
        help="Keep the picture's own pixels outside the mask, or let all pass through the VQ-GAN.  [default: keep]",
    ),
    option("--feather", type=int, metavar="N", help="Pixels over which kept fades into new.  [default: 0]"),
)
@option_group(
    "Sampler",
    *options.SAMPLER,
    *options.STEERING,
)
@option_group(
    "Conditioning",
    option("--negative", type=TextType(), multiple=True, help="To steer away from: once, or once per prompt."),
    options.weights,
    *options.MICRO,
)
@option_group(
    "Going on",
    option("--like", type=PATH, metavar="FILE", help="Draw a picture of this command again, from its PNG."),
    option(
        "--resume",
        type=PATH,
        metavar="FILE",
        help="Keep the state of the picture being drawn here; repeat the command to go on after an interruption.",
    ),
)
@option_group("Engine", *options.ENGINE)
@option_group("Cluster", *cluster.CLUSTER)
@options.quiet
def generate(
    bundle: Path,
    threads: int | None,
    low_memory: bool,
    cache: bool,
    simulate: Any,
    ray: str | None,
    plan: tuple[int, ...] | None,
    latency: Path | None,
    quiet: bool,
    **given: Any,
) -> None:
    """Draw pictures of each PROMPT with BUNDLE. What is not given comes from the bundle.

    With --image a PROMPT makes a variation of that picture; with --mask too it repaints what the mask shows bright;
    with --outpaint it draws around the picture.
    """
    from amused_edge.runtime import AmusedPipeline, Bundle

    request, output = record(TaskRequest, given), record(OutputRequest, given)
    output.check_usage()
    cluster.check_plan(plan, latency)
    opened = Bundle.open(bundle)
    task, chosen = task_and_options(request, opened)
    if plan is not None:
        cluster.tell_plan([_drawing(opened, task, chosen)], plan, latency)
        return
    engine = options.engine(threads, low_memory, cache, simulate)
    if ray is not None:
        opened.fetch()
        _generate_on(ray, opened.path, engine, task, chosen, output, quiet)
        return
    files = output.files(task, chosen.seed)
    with progress(quiet) as report, AmusedPipeline.from_bundle(opened, engine) as pipeline:
        written = draw(pipeline, task, chosen, output, files, report)
    if not quiet and written:
        console.say("\n".join(map(str, written)))


def _generate_on(
    ray: str,
    bundle: Path,
    engine: "EngineOptions",
    task: "Task",
    chosen: "GenerationOptions",
    output: OutputRequest,
    quiet: bool,
) -> None:
    """Draw on a cluster."""
    from amused_edge.cli.draw_pieces import check_usage, draw_pieces

    check_usage(output)
    files = output.files(task, chosen.seed, kept=True)
    with cluster.crew(ray, engine.threads) as crew, progress(quiet, estimate=True) as report:
        written = draw_pieces(crew, bundle, engine, task, chosen, files, report)
    if not quiet and written:
        console.say("\n".join(map(str, written)))


def _drawing(bundle: "Bundle", task: "Task", chosen: "GenerationOptions") -> "Drawing":
    """Return what is to be drawn, for an estimate."""
    from amused_edge.benchmarks.prediction.plan import Drawing

    return Drawing(bundle.name, bundle.sha256, chosen.settings(bundle.manifest.sampler), len(task.pictures()))


def record(kind: type[R], given: dict[str, Any]) -> R:
    """Return a record of the options that have the names of its fields."""
    return kind(**{field.name: given[field.name] for field in fields(kind)})
