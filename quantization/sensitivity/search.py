"""The whole of `quantize --sensitivity`: measure every weight alone, write the table, and mix a recipe if asked to."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.quantization.sensitivity.damage import DamageMeter, Row, measure_each
from amused_edge.quantization.sensitivity.mixing import Mixer, bundle_bytes
from amused_edge.quantization.sensitivity.table import write_table
from amused_edge.quantization.targets import make_target
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.writer import new_folder
from amused_edge.runtime.engines.stored_floats import check_stored_floats
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.stages import OnStage, Stages

RECIPE_NAME = "recipe.json"


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
    _check_limits(max_kl, budget)
    check_free(Path(out))
    options = options or QuantizeOptions()
    report = on_stage or (lambda *_: None)
    parent = Bundle.open(source)
    target = make_target(parent, options.adapt(load_recipe(recipe, parent.manifest.target)), options)
    chosen, trials = target.recipe, target.trials()
    with new_folder(Path(out)) as folder:
        verification.verify_once(parent)
        check_stored_floats(parent)
        stages = Stages(on_stage, 1)
        stages.next("calibrating")
        target.prepare(stages)
        with closing(DamageMeter(trials, options.measured_prompts)) as meter:
            rows = measure_each(meter, trials, on_weight=report)
            mixer = Mixer(meter, trials, rows, bundle_bytes(trials))
            mean_kl = _mix(mixer, max_kl, budget, lambda name: report(f"more bits for {name}", len(rows), len(rows)))
        mixed = None if mean_kl is None else mixer.recipe(chosen, f"{chosen.name}-mixed")
        _write(folder, rows, chosen, mixed)
    return SearchResult(tuple(rows), mixed, mean_kl)


def _check_limits(max_kl: float | None, budget: float | None) -> None:
    if max_kl is not None and budget is not None:
        raise OptionsError("give max_kl or budget, not both")
    for name, value in (("max_kl", max_kl), ("budget", budget)):
        if value is not None and not value > 0:
            raise OptionsError(f"{name} is {value}; it must be above 0")


def _mix(mixer: Mixer, max_kl: float | None, budget: float | None, on_step: Callable[[str], None]) -> float | None:
    """Climb until the limit is met and return the measured mean KL; None where there is no limit."""
    if max_kl is not None:
        return mixer.lower_kl(max_kl, on_step)
    return None if budget is None else mixer.fill_budget(budget, on_step)


def _write(folder: Path, rows: Sequence[Row], measured: Recipe, mixed: Recipe | None) -> None:
    if mixed is not None:
        (folder / RECIPE_NAME).write_text(mixed.to_json(), encoding="utf-8")
    write_table(folder, rows, measured)
