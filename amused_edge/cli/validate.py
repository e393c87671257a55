"""`amused-edge validate`."""

import sys
from pathlib import Path

import click
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.values import PATH


@click.command(
    cls=Command,
    short_help="Export, quantize and report, all at once.",
    extras=("export", "quantize"),
    examples=(
        "amused-edge validate path/to/checkpoint report",
        "amused-edge validate path/to/checkpoint report --recipe w8 --prompts mine.txt",
    ),
)
@click.argument("checkpoint")
@click.argument("out", type=PATH)
@option_group(
    "What is checked",
    option("--recipe", "recipes", multiple=True, metavar="NAME|FILE.json", help="[default: fp16, w8, w8a8 and w4]"),
    options.variant,
)
@option_group(
    "Calibration and fidelity",
    options.prompts,
    options.calibration_prompts,
    options.fidelity_prompts(16, "Drawn to measure each recipe."),
)
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
