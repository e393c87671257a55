"""`amused-edge quantize`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.values import PATH

if TYPE_CHECKING:
    from amused_edge.runtime.bundle.manifest import Manifest


@click.command(
    cls=Command,
    short_help="Make a bundle smaller, and measure the cost.",
    extras=("quantize",),
    examples=(
        "amused-edge quantize amused-fp32 amused-w8 --recipe w8",
        "amused-edge quantize amused-fp32 mixed --recipe w4 --sensitivity --budget 9",
    ),
)
@click.argument("bundle", type=PATH)
@click.argument("out", type=PATH)
@option_group(
    "Recipe",
    option("--recipe", required=True, metavar="NAME|FILE.json", help="w8, w4, or another of the target; or a file."),
)
@option_group(
    "Calibration and fidelity",
    options.prompts,
    options.calibration_prompts,
    options.fidelity_prompts(8, "Drawn to measure the damage."),
)
@option_group(
    "Sensitivity",
    option("--sensitivity", is_flag=True, help="Measure each weight alone; OUT becomes a folder with the table."),
    option("--max-kl", type=float, metavar="X", help="Mix a recipe with at most this mean KL, in nats."),
    option("--budget", type=float, metavar="X", help="Mix a recipe for at most this many MB."),
)
@options.quiet
def quantize(
    bundle: Path,
    out: Path,
    recipe: str,
    prompts: Path | None,
    calibration_prompts: int | None,
    fidelity_prompts: int,
    sensitivity: bool,
    max_kl: float | None,
    budget: float | None,
    quiet: bool,
) -> None:
    """Make the bundle OUT from BUNDLE with fewer bits, as a recipe says, and measure what that cost.

    OUT.account.json and OUT.account.md, beside OUT, hold sizes, fidelity and what each weight became.

    With --sensitivity no bundle is made: OUT gets sensitivity.json, .md and .png, and recipe.json with a limit.
    """
    from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
    from amused_edge.quantization.sensitivity.search import RECIPE_NAME, search
    from amused_edge.runtime.tasks.prompt_file import read_prompts

    if not sensitivity and (max_kl is not None or budget is not None):
        raise click.UsageError("--max-kl and --budget go with --sensitivity")
    given = None if prompts is None else read_prompts(prompts)
    chosen = QuantizeOptions(given, calibration_prompts, fidelity_prompts)
    if sensitivity:
        _check_limits(max_kl, budget)
    with progress(quiet) as report:
        if sensitivity:
            result = search(bundle, out, recipe, chosen, max_kl=max_kl, budget=budget, on_stage=report)
            mixed = "" if result.recipe is None else f"; {out / RECIPE_NAME}: mean KL {result.mean_kl:.1e} nats"
            said = f"{out}: {len(result.rows)} weights measured{mixed}"
        else:
            made = quantize_bundle(bundle, out, recipe, chosen, on_stage=report)
            said = f"{out}: {described(made.manifest)}"
    if not quiet:
        console.say(said)


def described(manifest: "Manifest") -> str:
    """Return what a bundle became, in one line."""
    from amused_edge.runtime.bundle.measurements import shown_psnr

    cost = manifest.fidelity
    how = "" if manifest.simulated is None else ", simulated"
    return (
        f"{manifest.bytes / 1e6:.1f} MB; against its parent{how}: mean KL {cost.logits.mean_kl:.1e} nats, "
        f"{cost.logits.equal_draws:.2%} of draws equal, decoder {shown_psnr(cost.pictures.psnr, ' dB')}"
    )


def _check_limits(max_kl: float | None, budget: float | None) -> None:
    """What the search checks too, in the words of the options."""
    from amused_edge.runtime.errors import OptionsError

    if max_kl is not None and budget is not None:
        raise OptionsError("give --max-kl or --budget, not both")
    for name, value in (("max-kl", max_kl), ("budget", budget)):
        if value is not None and not value > 0:
            raise OptionsError(f"{name} is {value}; it must be above 0")
