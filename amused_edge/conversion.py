"""Checkpoint -> quantized bundle in one go: what was exported on the way is not kept."""

from pathlib import Path

from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.export.target import ExportTarget
from amused_edge.export.targets import make_target
from amused_edge.quantization import account
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.writer import passing_folder
from amused_edge.runtime.stages import OnStage


def export_quantized(
    source: str | Path,
    out: str | Path,
    recipe: str | Path | Recipe,
    export: ExportOptions | None = None,
    options: QuantizeOptions | None = None,
    *,
    target: str | ExportTarget = "onnx",
    on_stage: OnStage | None = None,
) -> Bundle:
    """Export a checkpoint and quantize what comes out.

    While it works, the exported bundle lies in a folder beside `out`, so the disk must hold both.

    Parameters
    ----------
    source, export, target
        As of `export_bundle`.
    out, recipe, options
        As of `quantize_bundle`: `out` appears complete or not at all, with its account beside it.

    Raises
    ------
    AmusedEdgeError
        As of both. A place that is taken and a recipe that is none are found before the export.
    """
    out = Path(out)
    made_for = make_target(target) if isinstance(target, str) else target
    account.check_places(out)
    chosen = load_recipe(recipe, made_for.name)
    with passing_folder(out) as folder:
        parent = export_bundle(source, folder / "exported", export, target=made_for, on_stage=on_stage)
        return quantize_bundle(parent.path, out, chosen, options, on_stage=on_stage)
