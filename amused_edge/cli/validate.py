"""`amused-edge validate`."""

import sys
from pathlib import Path

import click

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress


@click.command(cls=Command, extras=("export", "quantize"))
@click.argument("checkpoint")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--recipe", "recipes", multiple=True, metavar="NAME|FILE.json", help="[default: fp16, w8, w8a8 and w4]")
@options.prompts
@click.option("--calibration-prompts", type=int, help="Drawn to calibrate.  [default: the recipe's]")
@click.option("--fidelity-prompts", type=int, default=16, show_default=True, help="Drawn to measure each recipe.")
@click.option("--variant", type=click.Choice(["fp16"]), help="Read the checkpoint's half-precision files.")
@options.quiet
def validate(
    checkpoint: str,
    out: Path,
    recipes: tuple[str, ...],
    prompts: Path | None,
    calibration_prompts: int | None,
    fidelity_prompts: int,
    variant: str | None,
    quiet: bool,
) -> None:
    """Export CHECKPOINT, quantize it by each recipe, and report parity, sizes and fidelity in the new folder OUT."""
    from amused_edge.export.bundle_export import ExportOptions
    from amused_edge.quantization.quantize import QuantizeOptions
    from amused_edge.runtime.tasks.prompt_file import read_prompts
    from amused_edge.validation import DEFAULT_RECIPES, validate

    given = None if prompts is None else read_prompts(prompts)
    chosen = QuantizeOptions(given, calibration_prompts, fidelity_prompts)
    with progress(quiet) as report:
        result = validate(
            checkpoint, out, recipes or DEFAULT_RECIPES, ExportOptions(variant=variant), chosen, on_stage=report
        )
    if not quiet:
        console.say(str(result.report))
    for recipe, reason in result.failures.items():
        console.complain(f"recipe {recipe} failed: {reason}")
    if result.failures:
        sys.exit(1)
