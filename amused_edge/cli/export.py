"""`amused-edge export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress

if TYPE_CHECKING:
    from amused_edge.export.target import ExportTarget


@click.command(cls=Command, extras=("export",))
@click.argument("checkpoint")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(["onnx", "coreml"]), default="onnx", show_default=True)
@click.option(
    "--optimize",
    type=click.Choice(["portable", "cpu"]),
    help="With --target onnx: portable has the ONNX standard's operators and computes the same everywhere; cpu has "
    "ONNX Runtime's own, fastest on CPUs.  [default: portable]",
)
@click.option("--ios", type=int, help="With --target coreml: the oldest iOS, 16, 17 or 18.  [default: 17]")
@click.option("--precision", help="With --target coreml: float16 or float32.  [default: float16]")
@click.option("--height", type=int, help="Of the pictures, in pixels.  [default: the checkpoint's]")
@click.option("--width", type=int, help="Of the pictures, in pixels.  [default: the checkpoint's]")
@click.option("--variant", type=click.Choice(["fp16"]), help="Read the checkpoint's half-precision files.")
@click.option("--name", type=options.TextType(), help="Of the model, for the manifest.")
@options.sampler
@options.quiet
def export(
    checkpoint: str,
    out: Path,
    target: str,
    optimize: Any,
    ios: int | None,
    precision: str | None,
    height: int | None,
    width: int | None,
    variant: str | None,
    name: str | None,
    steps: int | None,
    guidance: float | None,
    temperature: Any,
    schedule: Any,
    quiet: bool,
) -> None:
    """Convert CHECKPOINT (a folder in diffusers layout, or a hub id) to the bundle OUT.

    --steps, --guidance, --temperature and --schedule become the bundle's defaults.
    """
    from amused_edge.runtime.bundle.places import check_free

    check_free(out)  # before torch is imported, which takes seconds
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.sampling.options import GenerationOptions

    if target != "coreml" and (ios is not None or precision is not None):
        raise click.UsageError("--ios and --precision go with --target coreml")
    if target != "onnx" and optimize is not None:
        raise click.UsageError("--optimize goes with --target onnx")
    sampler = GenerationOptions(steps=steps, guidance_scale=guidance, temperature=temperature, schedule=schedule)
    chosen = ExportOptions(height, width, sampler, variant, name)
    with progress(quiet) as report:
        bundle = export_bundle(
            checkpoint, out, chosen, target=_target(target, optimize, ios, precision), on_stage=report
        )
    if not quiet:
        measured = bundle.manifest.fidelity.logits
        size = bundle.manifest.bytes / 1e6
        how = "parity" if bundle.manifest.simulated is None else "parity of the program, simulated,"
        console.say(
            f"{out}: {size:.1f} MB; {how} over {measured.rows} rows: mean KL {measured.mean_kl:.1e} nats, "
            f"logits within {measured.max_logit_error:.1e}"
        )


def _target(name: str, optimize: Any, ios: int | None, precision: Any) -> "ExportTarget":
    """Return a target with the options that were given."""
    if name == "onnx":
        from amused_edge.export.onnx.target import OnnxTarget

        return OnnxTarget(optimize or "portable")
    from amused_edge.export.coreml.target import CoreMLTarget
    from amused_edge.export.coreml.write import CoreMLOptions

    given = {"ios": ios, "precision": precision}
    return CoreMLTarget(CoreMLOptions(**{key: value for key, value in given.items() if value is not None}))
