"""The chain on a checkpoint of the user's: export, every recipe, fidelity, in one report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.export.bundle_export import ExportOptions, export_bundle
from amused_edge.quantization import account
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.writer import new_folder
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, quoted
from amused_edge.runtime.stages import OnStage

DEFAULT_RECIPES = ("fp16", "w8", "w8a8", "w4")

PARENT = "fp32"
"""Name of the exported bundle in the report's folder."""

REPORT = "report.md"


@dataclass(frozen=True)
class Validation:
    """What became of each bundle.

    Attributes
    ----------
    bundles
        Name -> bundle, the exported one first.
    failures
        Recipe -> why there is no bundle.
    report
        The Markdown page.
    """

    bundles: dict[str, Bundle]
    failures: dict[str, str]
    report: Path


def validate(
    source: str | Path,
    out: str | Path,
    recipes: Sequence[str] = DEFAULT_RECIPES,
    export: ExportOptions | None = None,
    options: QuantizeOptions | None = None,
    *,
    on_stage: OnStage | None = None,
) -> Validation:
    """Export a checkpoint, make a bundle by each recipe, and write `report.md` and `report.json`.

    Parameters
    ----------
    source
        A folder in diffusers layout, or a hub id.
    out
        New folder for the bundles (`fp32`, and one named after each recipe), their accounts and the report. It appears
        complete or not at all.

    Raises
    ------
    AmusedEdgeError
        The checkpoint cannot be exported, a recipe is not valid, or `out` exists. A recipe that fails on the way is
        told in the report instead.
    """
    out = Path(out)
    check_free(out)
    chosen = [load_recipe(recipe) for recipe in recipes]
    _check_names([recipe.name for recipe in chosen])
    for recipe in chosen:
        account.check_places(out / recipe.name)
    with new_folder(out) as folder:
        parent = export_bundle(source, folder / PARENT, export, on_stage=on_stage)
        bundles, failures = {PARENT: parent}, {}
        for recipe in chosen:
            try:
                bundles[recipe.name] = quantize_bundle(
                    parent.path, folder / recipe.name, recipe, options, on_stage=_prefixed(on_stage, recipe.name)
                )
            except AmusedEdgeError as error:
                failures[recipe.name] = str(error).replace(str(folder), str(out))
        (folder / REPORT).write_text(_page(bundles, failures), encoding="utf-8")
        (folder / "report.json").write_text(_data(bundles, failures), encoding="utf-8")
    return Validation({name: Bundle.open(out / name) for name in bundles}, failures, out / REPORT)


def _check_names(names: Sequence[str]) -> None:
    """Each recipe gets a folder of its own beside the report."""
    for name in names:
        if name in (PARENT, REPORT, "report.json"):
            raise OptionsError(f"a recipe is named {quoted(name)}, which the report needs; give it another name")
        if names.count(name) > 1:
            raise OptionsError(f"two recipes are named {quoted(name)}; give each its own name, once")


def _prefixed(on_stage: OnStage | None, name: str) -> OnStage | None:
    if on_stage is None:
        return None
    return lambda text, index, total: on_stage(f"{name}: {text}", index, total)


def _page(bundles: dict[str, Bundle], failures: dict[str, str]) -> str:
    parent = bundles[PARENT].manifest
    made = {name: bundle for name, bundle in bundles.items() if name != PARENT}
    roles = list(parent.graphs)
    sizes = []
    whole = bundles[PARENT].manifest.bytes
    for name, bundle in bundles.items():
        cells = [f"{bundle.graph(role).bytes / 1e6:.1f}" for role in roles]
        total = bundle.manifest.bytes
        sizes.append((name, *cells, f"{total / 1e6:.1f}", f"{total / whole:.3f}"))
    failed = [f"- {name}: {reason}" for name, reason in failures.items()]
    return "\n".join(
        [
            f"# {parent.model.name}: what converting and quantizing it costs",
            "",
            f"Made from {quoted(parent.model.source, 600)} by amused-edge {parent.tools['amused-edge']} with "
            f"onnxruntime {parent.tools['onnxruntime']}.",
            "",
            "The recipes were tuned on a small demo model. On weights that nobody has tried they are unproven until "
            "this report has been made with those very weights; the figures below are of this checkpoint alone.",
            "",
            "## Export against the checkpoint",
            "",
            *account.fidelity_table({PARENT: parent.fidelity}),
            "",
            "## Size of the graphs, MB",
            "",
            *table_lines(("bundle", *roles, "all, MB", "share of fp32"), sizes),
            "",
            "## Recipes against the exported bundle",
            "",
            *account.fidelity_table({name: bundle.manifest.fidelity for name, bundle in made.items()}),
            *(["", "## Failed", "", *failed] if failed else []),
            "",
        ]
    )


def _data(bundles: dict[str, Bundle], failures: dict[str, str]) -> str:
    manifests = {name: json.loads(bundle.manifest.to_json()) for name, bundle in bundles.items()}
    return json.dumps({"schema_version": 1, "bundles": manifests, "failures": failures}, indent=1) + "\n"
