"""`amused-edge export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import Choice
from cloup import option, option_group

from amused_edge.cli import console, options
from amused_edge.cli.command import Command
from amused_edge.cli.progress import progress
from amused_edge.cli.quantize import described as quantized
from amused_edge.cli.values import PATH, TextType
from amused_edge.runtime.bundle.manifest import OPTIMIZATIONS, TARGETS

if TYPE_CHECKING:
    from amused_edge.quantization.options import QuantizeOptions
    from amused_edge.runtime.bundle.manifest import Manifest

SYSTEMS, PRECISIONS = (16, 17, 18), ("float16", "float32")
"""As the exports have them, which import torch."""

OF_TARGETS = {
    "optimize": ("onnx",),
    "with_sampler": ("onnx",),
    "row_cache": ("onnx",),
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
        "amused-edge export path/to/checkpoint amused-w8 --target coreml --recipe w8",
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
    option(
        "--row-cache",
        is_flag=True,
        help="Of ONNX with --optimize cpu: a denoiser that can keep rows of tokens that are known, see generate.",
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
@option_group(
    "Quantization",
    option("--recipe", metavar="NAME|FILE.json", help="Quantize too; the exported bundle is not kept."),
    options.prompts,
    options.calibration_prompts,
    option("--fidelity-prompts", type=int, metavar="N", help="Drawn to measure the damage.  [default: 8]"),
)
@options.quiet
def export(
    checkpoint: str,
    out: Path,
    target: str,
    optimize: Any,
    with_sampler: bool,
    row_cache: bool,
    ios: int | None,
    precision: str | None,
    height: int | None,
    width: int | None,
    variant: str | None,
    name: str | None,
    loras: tuple[str, ...],
    lora_scale: float | None,
    transformer: Path | None,
    recipe: str | None,
    prompts: Path | None,
    calibration_prompts: int | None,
    fidelity_prompts: int | None,
    quiet: bool,
    **sampler: Any,
) -> None:
    """Convert CHECKPOINT (a folder in diffusers layout, or a hub id) to the bundle OUT.

    With --recipe the bundle is quantized, and OUT.account.json and .md say what that cost, as of `quantize`.
    """
    from amused_edge.runtime.bundle.places import check_free

    check_free(out)  # before torch is imported, which takes seconds
    quantizing = _quantizing(recipe, prompts, calibration_prompts, fidelity_prompts)
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.export.checkpoint.lora.source import LoraSource
    from amused_edge.export.targets import make_target

    flags = {"with_sampler": with_sampler or None, "row_cache": row_cache or None}
    given = _given(target, optimize=optimize, **flags, ios=ios, precision=precision)
    sources = tuple(LoraSource.parse(text) for text in loras)
    settings = options.generation_options(**sampler)
    chosen = ExportOptions(height, width, settings, variant, name, transformer, sources, lora_scale)
    made_for = make_target(target, **given)
    with progress(quiet) as report:
        if recipe is None:
            bundle = export_bundle(checkpoint, out, chosen, target=made_for, on_stage=report)
            said = _described(bundle.manifest)
        else:
            from amused_edge.conversion import export_quantized

            bundle = export_quantized(checkpoint, out, recipe, chosen, quantizing, target=made_for, on_stage=report)
            said = quantized(bundle.manifest)
    if not quiet:
        console.say(f"{out}: {said}")


def _quantizing(
    recipe: str | None, prompts: Path | None, calibration_prompts: int | None, fidelity_prompts: int | None
) -> "QuantizeOptions":
    """Return what the options of the quantization ask for; raises `click.UsageError` if there is none."""
    from amused_edge.quantization.options import FIDELITY_PROMPTS, QuantizeOptions
    from amused_edge.runtime.tasks.prompt_file import read_prompts

    if recipe is None and any(given is not None for given in (prompts, calibration_prompts, fidelity_prompts)):
        raise click.UsageError("--prompts, --calibration-prompts and --fidelity-prompts go with --recipe")
    count = FIDELITY_PROMPTS if fidelity_prompts is None else fidelity_prompts
    return QuantizeOptions(None if prompts is None else read_prompts(prompts), calibration_prompts, count)


def _described(manifest: "Manifest") -> str:
    """Return what came of an export, in one line."""
    measured = manifest.fidelity.logits
    how = "parity" if manifest.simulated is None else "parity of the program, simulated,"
    return (
        f"{manifest.bytes / 1e6:.1f} MB; {how} over {measured.rows} rows: mean KL {measured.mean_kl:.1e} nats, "
        f"logits within {measured.max_logit_error:.1e}"
    )


def _given(target: str, **options: Any) -> dict[str, Any]:
    """Return the target's options that were given; raises `click.UsageError` if it has not one of them."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if target not in OF_TARGETS[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --target {' or '.join(OF_TARGETS[name])}")
    return given
