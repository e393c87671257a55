"""The whole of `quantize --sensitivity`: measure every weight alone, write the table, and mix a recipe if asked to."""

from dataclasses import dataclass
from pathlib import Path

from amused_edge.quantization.onnx.plan import GraphPlan, check_parent, make_plan
from amused_edge.quantization.onnx.target import calibrate
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.sensitivity.damage import DamageMeter, Row, measure_each, stored_bytes
from amused_edge.quantization.sensitivity.mixing import Mixer
from amused_edge.quantization.sensitivity.table import write_table
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.writer import new_folder
from amused_edge.runtime.checks import present
from amused_edge.runtime.engines.stored_floats import check_stored_floats
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
    RecipeError, QuantizationError, OutputExistsError, OptionsError, BundleError
        As in `quantize_bundle`; or the limit cannot be met.
    """
    if max_kl is not None and budget is not None:
        raise OptionsError("give --max-kl or --budget, not both")
    for name, value in (("max-kl", max_kl), ("budget", budget)):
        if value is not None and not value > 0:
            raise OptionsError(f"{name} is {value}; it must be above 0")
    check_free(Path(out))
    options = options or QuantizeOptions()
    report = on_stage or (lambda *_: None)
    parent = Bundle.open(source)
    check_parent(parent)
    chosen = options.adapt(load_recipe(recipe))
    with new_folder(Path(out)) as folder:
        plans = make_plan(parent, chosen)
        verification.verify_once(parent)
        check_stored_floats(parent)
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
                    mean_kl = mixer.fill_budget(present(budget, "the budget"), climb)
                mixed = mixer.recipe(chosen, f"{chosen.name}-mixed")
                (folder / RECIPE_NAME).write_text(mixed.to_json(), encoding="utf-8")
        finally:
            meter.close()
        write_table(folder, rows, chosen)
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
