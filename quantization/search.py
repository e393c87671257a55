"""The whole of `quantize --sensitivity`: measure every weight alone, write the table, and mix a recipe if asked to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amused_edge.quantization.mixing import Mixer
from amused_edge.quantization.named_recipes import load_recipe
from amused_edge.quantization.plan import GraphPlan, check_finite, make_plan
from amused_edge.quantization.quantize import QuantizeOptions, calibrate
from amused_edge.quantization.recipes import Recipe, Rule
from amused_edge.quantization.sensitivity import DamageMeter, Row, measure_each, stored_bytes
from amused_edge.runtime import verification
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.bundle_writer import new_folder
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.stages import OnStage

RECIPE_NAME = "recipe.json"

_DESCRIPTION_BYTES = 1024
"""Room for the nodes, attributes and small tensors of one changed weight; about 550 are used."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    rows
        In the order of the graphs.
    recipe, mean_kl
        The mixed recipe, and what was measured of it, in nats; None if no limit was given.
    """

    rows: tuple[Row, ...]
    recipe: Recipe | None
    mean_kl: float | None


def search(
    source: str | Path,
    out: str | Path,
    recipe: str | Path | Recipe,
    options: QuantizeOptions | None = None,
    *,
    max_kl: float | None = None,
    budget: float | None = None,
    on_stage: OnStage | None = None,
) -> SearchResult:
    """Measure what a recipe does to each weight alone; with a limit, make a mixed recipe of it.

    Parameters
    ----------
    source
        A bundle that export wrote.
    out
        New folder: `sensitivity.json`, `sensitivity.md`, `sensitivity.png`, and `recipe.json` with a limit.
    max_kl
        Largest mean KL of the mixed recipe, in nats, on the states measured here.
    budget
        Largest size of the mixed bundle, in megabytes (10^6 bytes).

    Raises
    ------
    RecipeError, QuantizationError, OutputExistsError, BundleError
        As in `quantize_bundle`; or the limit cannot be met.
    """
    if max_kl is not None and budget is not None:
        raise OptionsError("give --max-kl or --budget, not both")
    for name, value in (("max-kl", max_kl), ("budget", budget)):
        if value is not None and not value > 0:
            raise OptionsError(f"{name} is {value}; it must be above 0")
    options = options or QuantizeOptions()
    chosen = options.adapt(load_recipe(recipe))
    report = on_stage or (lambda *_: None)
    parent = Bundle.open(source)
    with new_folder(Path(out)) as folder:
        plans = make_plan(parent, chosen)
        verification.verify_once(parent)
        check_finite(plans)
        report("calibrating", 0, 1)
        observations = calibrate(parent, plans, chosen, options, lambda text: report(text, 0, 1))
        meter = DamageMeter(parent, options.measured_prompts, observations)
        try:
            rows = measure_each(meter, plans, on_weight=report)
            mixed, mean_kl = None, None
            if max_kl is not None or budget is not None:
                mixer = Mixer(meter, plans, rows, bundle_bytes(parent, plans))
                climb = lambda name: report(f"more bits for {name}", len(rows), len(rows))  # noqa: E731
                if max_kl is not None:
                    mean_kl = mixer.lower_kl(max_kl, climb)
                else:
                    assert budget is not None
                    mean_kl = mixer.fill_budget(budget, climb)
                mixed = mixer.recipe(chosen, f"{chosen.name}-mixed")
                (folder / RECIPE_NAME).write_text(mixed.to_json(), encoding="utf-8")
        finally:
            meter.close()
        _write_table(folder, rows, chosen)
    return SearchResult(tuple(rows), mixed, mean_kl)


def bundle_bytes(parent: Bundle, plans: dict[str, GraphPlan]) -> int:
    """Return how large a bundle made by these plans is at most: weights as their rules say, the rest as in the parent,
    and what describes each changed weight in its graph.
    """
    total = parent.manifest.bytes
    for plan in plans.values():
        for name, weight in plan.weights.items():
            rule = plan.rules[name]
            if rule.bits < 32:
                now = stored_bytes(weight.shape, weight.operator, rule)
                total += now - stored_bytes(weight.shape, weight.operator, Rule(name)) + _DESCRIPTION_BYTES
    return total


def _write_table(folder: Path, rows: Sequence[Row], recipe: Recipe) -> None:
    content = {"schema_version": 1, "recipe": recipe.to_dict(), "weights": [_as_json(row) for row in rows]}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / "sensitivity.json").write_text(text, encoding="utf-8")
    (folder / "sensitivity.md").write_text(_page(rows, recipe), encoding="utf-8")
    _plot(folder / "sensitivity.png", rows, recipe)


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "weight": f"{row.role}/{row.name}", "operator": row.operator, "values": row.values, "bytes": row.bytes,
        "bits": row.rule.bits, "block": row.rule.block, "activations": row.rule.activations, **asdict(row.damage),
    }  # fmt: skip


def _page(rows: Sequence[Row], recipe: Recipe) -> str:
    lines = [
        f"# What recipe {recipe.name} does to each weight alone",
        "",
        "Worst first. KL in nats (parent || changed), guided logits of masked rows; PSNR of decoded pictures in dB.",
        "",
        "| weight | values | bytes | bits | activations | mean KL | PSNR | equal codes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=_severity):
        d = row.damage
        shown = (
            "" if d.mean_kl is None else f"{d.mean_kl:.2e}",
            "" if d.psnr is None else f"{d.psnr:.1f}",
            "" if d.equal_codes is None else f"{d.equal_codes:.2%}",
        )
        lines.append(
            f"| {row.role}/{row.name} | {row.values} | {row.bytes} | {row.rule.bits} | {row.rule.activations} | "
            + " | ".join(shown)
            + " |"
        )
    return "\n".join(lines) + "\n"


def _severity(row: Row) -> tuple[int, float]:
    """Order logit roles by KL, then decoder weights by PSNR, then the encoder's by codes; worst first."""
    d = row.damage
    if d.mean_kl is not None:
        return 0, -d.mean_kl
    if row.role == "image_decoder":
        return 1, float("inf") if d.psnr is None else d.psnr
    return 2, 1.0 if d.equal_codes is None else d.equal_codes


def _plot(path: Path, rows: Sequence[Row], recipe: Recipe) -> None:
    """Bars of mean KL in the order in which the graphs compute, and of the decoder's PSNR."""
    from matplotlib.figure import Figure

    logits = [row for row in rows if row.damage.mean_kl is not None]
    decoder = [row for row in rows if row.damage.psnr is not None]
    panels = [(part, label) for part, label in ((logits, "mean KL, nats"), (decoder, "decoder PSNR, dB")) if part]
    figure = Figure(figsize=(12, 4 * max(1, len(panels))), layout="constrained")
    for place, (part, label) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        values = [row.damage.mean_kl if part is logits else row.damage.psnr for row in part]
        axes.bar(range(len(part)), [0.0 if value is None else value for value in values], color="#3b6ea5")
        if part is logits:
            axes.set_yscale("log")
            starts = [i for i, row in enumerate(part) if i == 0 or part[i - 1].role != row.role]
            for start in starts:
                axes.axvline(start - 0.5, color="#999999", linewidth=0.8)
                axes.text(start, 1.01, part[start].role, transform=axes.get_xaxis_transform(), fontsize=9)
        axes.set_ylabel(label)
        axes.set_xlabel("weights, in the order of the graph")
        axes.margins(x=0.01)
    figure.suptitle(f"Damage of recipe {recipe.name}, one weight at a time")
    figure.savefig(path, dpi=110)
