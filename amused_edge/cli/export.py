"""`amused-edge export`."""

from pathlib import Path
from typing import Any

import click
from click import Choice
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.values import PATH, TextType
from amused_edge.runtime.bundle.manifest import OPTIMIZATIONS, TARGETS

SYSTEMS, PRECISIONS = (16, 17, 18), ("float16", "float32")
"""As the exports have them, which import torch."""

OF_TARGETS = {
    "optimize": ("onnx",),
    "with_sampler": ("onnx",),
    "ios": ("coreml",),
    "precision": ("coreml", "coreai"),
}
"""Option -> the targets that have it."""


@click.command(
    cls=Command,
    short_help="Convert a checkpoint to a bundle.",
    extras=("export",),
    examples=(
        "amused-edge export amused/amused-256 amused-fp32",
        "amused-edge export path/to/checkpoint amused-coreml --target coreml --ios 18",
    ),
)
@click.argument("checkpoint")
@click.argument("out", type=PATH)
@option_group(
    "Target",
    option("--target", type=Choice(tuple(TARGETS)), default="onnx", show_default=True),
    option(
        "--optimize",
        type=Choice(OPTIMIZATIONS),
        help="Of ONNX: portable has the standard's operators and computes the same everywhere; cpu has ONNX Runtime's "
        "own, fastest on CPUs.  [default: portable]",
    ),
    option(
        "--with-sampler",
        is_flag=True,
        help="Of ONNX: add sampler.onnx, one step of the sampler as a graph, for apps in languages without a port.",
    ),
    option("--ios", type=Choice(SYSTEMS), help="Of Core ML: the oldest that opens it.  [default: 17]"),
    option(
        "--precision",
        type=Choice(PRECISIONS),
        help="Of Core ML and Core AI.  [default: float16]",
    ),
)
@option_group(
    "Model",
    option("--height", type=int, metavar="N", help="Of the pictures.  [default: the checkpoint's]"),
    option("--width", type=int, metavar="N", help="Of the pictures.  [default: the checkpoint's]"),
    option("--name", type=TextType(), help="Of the model, for the manifest."),
    options.variant,
)
@option_group(
    "Fine-tuning",
    option(
        "--lora",
        "loras",
        type=TextType(),
        multiple=True,
        metavar="LORA[:WEIGHT]",
        help="File, folder or hub id that is added to the weights; may be given several times.",
    ),
    options.lora_scale,
    option("--transformer", type=PATH, metavar="FOLDER", help="A trained U-ViT in place of the checkpoint's."),
)
@option_group("Defaults of the bundle", *options.SAMPLER)
@options.quiet
def export(
    checkpoint: str,
    out: Path,
    target: str,
    optimize: Any,
    with_sampler: bool,
    ios: int | None,
    precision: str | None,
    height: int | None,
    width: int | None,
    variant: str | None,
    name: str | None,
    loras: tuple[str, ...],
    lora_scale: float | None,
    transformer: Path | None,
    quiet: bool,
    **sampler: Any,
) -> None:
    """Convert CHECKPOINT (a folder in diffusers layout, or a hub id) to the bundle OUT."""
    from amused_edge.runtime.bundle.places import check_free

    check_free(out)  # before torch is imported, which takes seconds
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.export.checkpoint.lora.source import LoraSource
    from amused_edge.export.targets import make_target

    given = _given(target, optimize=optimize, with_sampler=with_sampler or None, ios=ios, precision=precision)
    sources = tuple(LoraSource.parse(text) for text in loras)
    settings = options.generation_options(**sampler)
    chosen = ExportOptions(height, width, settings, variant, name, transformer, sources, lora_scale)
    with progress(quiet) as report:
        bundle = export_bundle(checkpoint, out, chosen, target=make_target(target, **given), on_stage=report)
    if not quiet:
        measured = bundle.manifest.fidelity.logits
        size = bundle.manifest.bytes / 1e6
        how = "parity" if bundle.manifest.simulated is None else "parity of the program, simulated,"
        console.say(
            f"{out}: {size:.1f} MB; {how} over {measured.rows} rows: mean KL {measured.mean_kl:.1e} nats, "
            f"logits within {measured.max_logit_error:.1e}"
        )


def _given(target: str, **options: Any) -> dict[str, Any]:
    """Return the target's options that were given; raises `click.UsageError` if it has not one of them."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if target not in OF_TARGETS[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --target {' or '.join(OF_TARGETS[name])}")
    return given
