"""`amused-edge export`."""

from pathlib import Path
from typing import Any

import click

from amused_edge.cli import options
from amused_edge.cli.progress import progress


@click.command()
@click.argument("checkpoint")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--height", type=int, help="Of the pictures, in pixels.  [default: the checkpoint's]")
@click.option("--width", type=int, help="Of the pictures, in pixels.  [default: the checkpoint's]")
@click.option("--variant", type=click.Choice(["fp16"]), help="Read the checkpoint's half-precision files.")
@click.option("--name", help="Of the model, for the manifest.")
@options.sampler
@options.quiet
def export(
    checkpoint: str,
    out: Path,
    target: str,
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
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.options import GenerationOptions

    sampler = GenerationOptions(steps=steps, guidance_scale=guidance, temperature=temperature, schedule=schedule)
    chosen = ExportOptions(height, width, sampler, variant, name)
    with progress(quiet) as report:
        bundle = export_bundle(checkpoint, out, chosen, target=target, on_stage=report)
    if not quiet:
        parity = bundle.manifest.parity
        assert parity is not None
        measured = parity.logits
        size = bundle.manifest.bytes / 1e6
        click.echo(
            f"{out}: {size:.1f} MB; parity over {measured.rows} rows: mean KL {measured.mean_kl:.1e} nats, "
            f"logits within {measured.max_logit_error:.1e}"
        )
