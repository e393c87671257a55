"""`amused-edge lora`."""

from pathlib import Path

import click
from cloup import option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.values import PATH, TextType


@click.command(
    cls=Command,
    short_help="Add LoRAs to a bundle's weights.",
    extras=("lora",),
    examples=(
        "amused-edge lora amused-fp32 style.safetensors styled",
        "amused-edge lora amused-fp32 OWNER/NAME:0.8 styled --lora-scale 2",
    ),
)
@click.argument("bundle", type=PATH)
@click.argument("loras", type=TextType(), nargs=-1, required=True, metavar="LORA[:WEIGHT]...")
@click.argument("out", type=PATH)
@option_group("LoRAs", options.lora_scale)
@options.quiet
def lora(bundle: Path, loras: tuple[str, ...], out: Path, lora_scale: float | None, quiet: bool) -> None:
    """Make the bundle OUT from BUNDLE (for ONNX, in float32 or by recipe fp16) with each LORA added to its weights.

    LORA is a safetensors file, a folder with one, or a hub id. WEIGHT is how strongly it is added, 1 as it was trained.
    """
    from amused_edge.export.checkpoint.lora.source import LoraSource
    from amused_edge.export.lora_bundle import add_loras

    given = [LoraSource.parse(text) for text in loras]
    with progress(quiet) as report:
        made = add_loras(bundle, out, given, lora_scale=lora_scale, on_stage=report)
    if not quiet:
        tuned = made.manifest.fine_tuning
        entries = tuned.loras[-len(given) :] if tuned is not None else ()
        console.say(f"{out}: {made.manifest.bytes / 1e6:.1f} MB; {', '.join(entry.described for entry in entries)}")
