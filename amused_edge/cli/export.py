"""`amused-edge export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import Choice
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.values import PATH, TextType
from amused_edge.runtime.bundle.manifest import OPTIMIZATIONS

if TYPE_CHECKING:
    from amused_edge.export.target import ExportTarget

TARGETS = ("onnx", "coreml")
SYSTEMS, PRECISIONS = (16, 17, 18), ("float16", "float32")
"""As the Core ML export has them, which imports torch and coremltools."""


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
    option("--target", type=Choice(TARGETS), default="onnx", show_default=True),
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
        help="Of Core ML.  [default: float16]",
    ),
)
@option_group(
    "Model",
    option("--height", type=int, metavar="N", help="Of the pictures.  [default: the checkpoint's]"),
    option("--width", type=int, metavar="N", help="Of the pictures.  [default: the checkpoint's]"),
    option("--name", type=TextType(), help="Of the model, for the manifest."),
    options.variant,
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
    quiet: bool,
    **sampler: Any,
) -> None:
    """Convert CHECKPOINT (a folder in diffusers layout, or a hub id) to the bundle OUT."""
    from amused_edge.runtime.bundle.places import check_free

    check_free(out)  # before torch is imported, which takes seconds
    from amused_edge.export.bundle_export import ExportOptions, export_bundle

    if target != "coreml" and (ios is not None or precision is not None):
        raise click.UsageError("--ios and --precision go with --target coreml")
    if target != "onnx" and optimize is not None:
        raise click.UsageError("--optimize goes with --target onnx")
    if target != "onnx" and with_sampler:
        raise click.UsageError("--with-sampler goes with --target onnx")
    chosen = ExportOptions(height, width, options.generation_options(**sampler), variant, name)
    with progress(quiet) as report:
        bundle = export_bundle(
            checkpoint, out, chosen, target=_target(target, optimize, with_sampler, ios, precision), on_stage=report
        )
    if not quiet:
        measured = bundle.manifest.fidelity.logits
        size = bundle.manifest.bytes / 1e6
        how = "parity" if bundle.manifest.simulated is None else "parity of the program, simulated,"
        console.say(
            f"{out}: {size:.1f} MB; {how} over {measured.rows} rows: mean KL {measured.mean_kl:.1e} nats, "
            f"logits within {measured.max_logit_error:.1e}"
        )


def _target(name: str, optimize: Any, with_sampler: bool, ios: int | None, precision: Any) -> "ExportTarget":
    """Return a target with the options that were given."""
    if name == "onnx":
        from amused_edge.export.onnx.target import OnnxTarget

        return OnnxTarget(optimize or "portable", with_sampler=with_sampler)
    from amused_edge.export.coreml.target import CoreMLTarget
    from amused_edge.export.coreml.write import CoreMLOptions

    given = {"ios": ios, "precision": precision}
    return CoreMLTarget(CoreMLOptions(**{key: value for key, value in given.items() if value is not None}))
