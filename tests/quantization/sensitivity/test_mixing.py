"""Mixed recipes: the ladder, the climb with damages that are made up, and the whole search on real weights."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.trials import OnnxTrials, gentler, stored_bytes
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Calibration, Operator, Recipe, Rule
from amused_edge.quantization.sensitivity.damage import Damage, Row, Rules, measure_each
from amused_edge.quantization.sensitivity.mixing import Mixer, bundle_bytes
from amused_edge.quantization.sensitivity.search import _mix, search
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import BundleError, OptionsError, OutputExistsError

OPTIONS = QuantizeOptions(("a fox", "a drawing of a panda"), calibration_prompts=1, fidelity_prompts=2)

FOUR = Rule("*", operator="matmul", bits=4, block=32)


def ladder(rule: Rule) -> list[Rule]:
    """A rule and all above it; fails if there is no end."""
    rungs = [rule]
    while (above := gentler(rungs[-1])) is not None:
        rungs.append(above)
        assert len(rungs) < 10
    return rungs


STARTS: list[tuple[Operator, Rule]] = [
    ("matmul", FOUR),
    ("matmul", Rule("*", bits=4, block=64, rounding="feedback")),
    ("matmul", Rule("*", bits=4, block=32, symmetric=True, activations="blockwise")),
    ("matmul", Rule("*", bits=8, block=128)),
    ("matmul", Rule("*", bits=8, block=128, rounding="feedback")),
    ("matmul", Rule("*", bits=8, block=16)),
    ("matmul", Rule("*", bits=8, block=16, symmetric=True, activations="blockwise")),
    ("matmul", Rule("*", bits=8, block=64, symmetric=True, activations="blockwise")),
    ("matmul", Rule("*", bits=8, activations="dynamic")),
    ("conv", Rule("*", bits=8, activations="static")),
    ("conv", Rule("*", bits=8)),
    ("table", Rule("*", bits=8)),
    ("matmul", Rule("*", bits=16, activations="half")),
    ("matmul", Rule("*", bits=32)),
]


@pytest.mark.parametrize(("operator", "start"), STARTS)
def test_the_ladder_ends_and_never_gets_rougher(operator: Operator, start: Rule) -> None:
    """Every rung exists for the operator, has no fewer bits and, from 8 bits on, no larger blocks."""
    rungs = ladder(start)
    assert rungs[-1].bits >= 16
    for below, above in pairwise(rungs):
        above.check_fits("denoiser", "weight", operator)
        assert above.bits >= below.bits
        if below.bits == above.bits == 8 and below.block is not None:
            assert above.block is not None
            assert above.block <= below.block


def test_rungs_of_4_bits() -> None:
    assert [(rung.bits, rung.block) for rung in ladder(FOUR)] == [(4, 32), (8, 64), (8, 32), (16, None)]


def test_rungs_of_dynamic_activations() -> None:
    rungs = ladder(Rule("*", bits=8, activations="dynamic"))
    assert [rung.activations for rung in rungs] == ["dynamic", "blockwise", "float", "float"]


# --- The climb, with damages that add up or do not.


class MadeUpMeter:
    """Damages from a table: weight -> bits -> nats; together they are the sum, times `interaction`."""

    def __init__(self, table: Mapping[str, Mapping[int, float]], interaction: float = 1.0) -> None:
        self._table = table
        self._interaction = interaction

    def measure(self, rules: Rules) -> Damage:
        total = sum(self._table[name].get(rule.bits, 0.0) for (_, name), rule in rules.items())
        return Damage(mean_kl=total * (self._interaction if len(rules) > 1 else 1.0))


SHAPES = {"tender": (64, 64), "large": (64, 640), "tough": (64, 64)}
DAMAGES = {
    "tender": {4: 1e-2, 8: 1e-4, 16: 1e-7},
    "large": {4: 1e-2, 8: 1e-4, 16: 1e-7},
    "tough": {4: 1e-6, 8: 1e-8, 16: 0.0},
}
BYTES = {name: stored_bytes(shape, "matmul", FOUR) for name, shape in SHAPES.items()}


def made_up(interaction: float = 1.0) -> Mixer:
    plans = {
        "denoiser": SimpleNamespace(weights={n: SimpleNamespace(shape=s, operator="matmul") for n, s in SHAPES.items()})
    }
    rows = [
        Row("denoiser", name, "matmul", shape[0] * shape[1], FOUR, BYTES[name], Damage(mean_kl=DAMAGES[name][4]))
        for name, shape in SHAPES.items()
    ]
    meter = MadeUpMeter(DAMAGES, interaction)
    return Mixer(cast(Any, meter), trials(plans), rows, sum(BYTES.values()))


def trials(plans: Any) -> OnnxTrials:
    return OnnxTrials(cast(Any, None), plans, {})


def chosen_bits(mixer: Mixer) -> dict[str, int]:
    recipe = mixer.recipe(Recipe("base", (FOUR,)), "mixed")
    return {name: recipe.rule("denoiser", [name], "matmul").bits for name in SHAPES}


def test_the_weight_with_the_most_damage_per_byte_goes_first() -> None:
    """Two weights hurt alike, one is ten times as large; one step is enough for this limit."""
    mixer, steps = made_up(), []
    assert mixer.lower_kl(1.05e-2, steps.append) == pytest.approx(1e-2 + 1e-4 + 1e-6)
    assert steps == ["denoiser/tender"]
    assert chosen_bits(mixer) == {"tender": 8, "large": 4, "tough": 4}


def test_a_limit_is_met_although_damages_do_not_add_up() -> None:
    """Together they hurt five times as much as alone: what counts is what is measured."""
    mixer = made_up(interaction=5.0)
    assert mixer.lower_kl(2e-3, lambda _: None) <= 2e-3
    assert chosen_bits(mixer)["tender"] >= 8


def test_a_limit_is_met_by_small_steps() -> None:
    """Fifty times as much: what damages promise is far too little at first, and no more is climbed than is needed."""
    mixer, steps = made_up(interaction=50.0), []
    assert 0 < mixer.lower_kl(6e-3, steps.append) <= 6e-3
    assert steps == [f"denoiser/{name}" for name in ("tender", "large", "tender", "large", "tender")]
    assert chosen_bits(mixer) == {"tender": 16, "large": 8, "tough": 4}


def test_a_limit_that_is_met_already_costs_nothing() -> None:
    mixer, steps = made_up(), []
    assert mixer.lower_kl(1.0, steps.append) == pytest.approx(2e-2, rel=1e-3)
    assert steps == []
    assert mixer.recipe(Recipe("base", (FOUR,)), "mixed").rules == (FOUR,)


def test_a_limit_out_of_reach() -> None:
    with pytest.raises(QuantizationError, match="a mean KL of 1e-12 nats is not reached"):
        made_up().lower_kl(1e-12, lambda _: None)


@pytest.mark.parametrize("room", [0, 2000, 4000, 30_000, 200_000])
def test_a_budget_is_used_and_kept(room: int) -> None:
    budget = sum(BYTES.values()) + room
    mixer = made_up()
    measured = mixer.fill_budget(budget / 1e6, lambda _: None)
    recipe = mixer.recipe(Recipe("base", (FOUR,)), "mixed")
    rules = {name: recipe.rule("denoiser", [name], "matmul") for name in SHAPES}
    assert sum(stored_bytes(SHAPES[name], "matmul", rule) for name, rule in rules.items()) <= budget
    assert measured == pytest.approx(sum(DAMAGES[name].get(rule.bits, 0.0) for name, rule in rules.items()))
    if room >= 4000:
        assert rules["tender"].bits >= 8
    if room >= 30_000:
        assert rules["large"].bits >= 8


def test_a_budget_below_the_recipe() -> None:
    with pytest.raises(QuantizationError, match=r"takes 0\.0 MB, more than the budget of 0\.001 MB"):
        made_up().fill_budget(0.001, lambda _: None)


def test_names_with_marks_of_patterns_are_matched_as_they_are() -> None:
    name = "odd[0]*?"
    plans = {"denoiser": SimpleNamespace(weights={name: SimpleNamespace(shape=(64, 64), operator="matmul")})}
    row = Row("denoiser", name, "matmul", 4096, FOUR, BYTES["tender"], Damage(mean_kl=1e-2))
    mixer = Mixer(cast(Any, MadeUpMeter({name: {8: 1e-4}})), trials(plans), [row], BYTES["tender"])
    mixer.lower_kl(1e-3, lambda _: None)
    rule = mixer.recipe(Recipe("base", (FOUR,)), "mixed").rules[0]
    assert rule.bits == 8
    assert rule.tensors == "denoiser/odd[[]0][*][?]"
    assert rule.matches("denoiser", [name], "matmul")
    assert not rule.matches("denoiser", ["odd0xy"], "matmul")


@pytest.mark.parametrize("limits", [(1.05e-2, None), (None, (sum(BYTES.values()) + 4000) / 1e6)])
def test_a_climb_tells_its_steps(limits: tuple[float | None, float | None]) -> None:
    told: list[str] = []
    assert _mix(made_up(), *limits, told.append) is not None
    assert told[0] == "denoiser/tender"
    assert _mix(made_up(), None, None, told.append) is None


def test_each_weight_is_told_before_it_is_measured() -> None:
    """With its place among those that a rule changes."""
    plans = {
        "denoiser": SimpleNamespace(
            rules={"a": FOUR, "same": Rule("same"), "b": FOUR},
            weights={name: SimpleNamespace(shape=(64, 64), operator="matmul") for name in "ab"},
        )
    }
    told: list[Any] = []
    meter = MadeUpMeter({"a": {4: 1e-2}, "b": {4: 1e-3}})
    rows = measure_each(cast(Any, meter), trials(plans), on_weight=lambda *each: told.append(each))
    assert told == [("denoiser/a", 0, 2), ("denoiser/b", 1, 2)]
    assert [(row.name, row.damage.mean_kl, row.values) for row in rows] == [("a", 1e-2, 4096), ("b", 1e-3, 4096)]
    assert measure_each(cast(Any, meter), trials(plans)) == rows


def test_a_bundles_size_is_its_parents_and_what_changed() -> None:
    """What describes a weight is added for each that changed, and only for those."""

    class Sizes:
        bundle = SimpleNamespace(manifest=SimpleNamespace(bytes=10_000))
        description_bytes = 7
        plans: ClassVar = {
            "denoiser": SimpleNamespace(rules={"a": Rule("a", bits=8), "b": Rule("b")}),
            "image_decoder": SimpleNamespace(rules={"c": Rule("c", bits=4)}),
        }

        def stored_bytes(self, role: str, name: str, rule: Rule) -> int:
            return {"a": 100, "b": 200, "c": 300}[name] * rule.bits

    sizes = cast(Any, Sizes())
    assert bundle_bytes(sizes) == 10_000 - 100 * 24 + 7 - 300 * 28 + 7


# --- The whole search.

BASE = Recipe(
    "base",
    (
        Rule("denoiser/transformer_layers.0.*", operator="matmul", bits=4, block=32),
        Rule("conditioner/transformer_layers.0.*", operator="matmul", bits=4, block=32, rounding="feedback"),
        Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, activations="dynamic"),
        Rule("image_decoder/*.mid_block.*.conv1.*", operator="conv", bits=8, activations="static"),
    ),
    Calibration(),
)


def measured(bundle: Bundle) -> float:
    assert bundle.manifest.quantization is not None
    return bundle.manifest.quantization.logits.mean_kl


def bytes_on_disk(bundle: Bundle) -> int:
    return sum(path.stat().st_size for path in bundle.path.iterdir() if path.name not in ("manifest.json", "README.md"))


@pytest.fixture(scope="module")
def base(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return quantize_bundle(tiny_bundle.path, tmp_path_factory.mktemp("base") / "base", BASE, OPTIONS)


def test_a_mixed_recipe_keeps_its_promise_without_the_search(tiny_bundle: Bundle, base: Bundle, tmp_path: Path) -> None:
    """A tenth of the base's damage, found by the search, measured again on the bundle that the file makes."""
    limit = measured(base) / 10
    result = search(tiny_bundle.path, tmp_path / "table", BASE, OPTIONS, max_kl=limit)
    assert result.mean_kl is not None
    assert result.mean_kl <= limit
    file = tmp_path / "table" / "recipe.json"
    assert result.recipe == Recipe.from_dict(json.loads(file.read_text(encoding="utf-8")))
    made = quantize_bundle(tiny_bundle.path, tmp_path / "made", file, OPTIONS)
    assert measured(made) <= limit * 1.01
    assert measured(made) == pytest.approx(result.mean_kl, rel=0.01)
    # Weights that nobody asked about, and the decoder's, are as in the base.
    for role, graph in made.manifest.graphs.items():
        kept = [name for name, before in base.graph(role).tensors.items() if before.bits == 32]
        assert all(graph.tensors[name].bits == 32 for name in kept)
    assert made.graph("image_decoder").tensors == base.graph("image_decoder").tensors
    assert bytes_on_disk(made) > bytes_on_disk(base)


def test_a_budget_holds_on_disk(tiny_bundle: Bundle, base: Bundle, tmp_path: Path) -> None:
    """In megabytes of 10^6 bytes, over all files that a manifest lists; graphs grow too, not only weights."""
    budget = (bytes_on_disk(base) + 12000) / 1e6
    result = search(tiny_bundle.path, tmp_path / "table", BASE, OPTIONS, budget=budget)
    assert result.recipe is not None
    assert len(result.recipe.rules) > len(BASE.rules)
    made = quantize_bundle(tiny_bundle.path, tmp_path / "made", tmp_path / "table" / "recipe.json", OPTIONS)
    assert bytes_on_disk(made) <= budget * 1e6
    assert result.mean_kl == pytest.approx(measured(made), rel=0.01)
    assert measured(made) < measured(base)


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"max_kl": 1e-15}, QuantizationError, "a mean KL of 1e-15 nats is not reached"),
        ({"budget": 0.1}, QuantizationError, "more than the budget of 0.1 MB; start from a smaller recipe"),
        ({"max_kl": 1e-3, "budget": 1.0}, OptionsError, "give max_kl or budget, not both"),
        ({"max_kl": 0.0}, OptionsError, "max_kl is 0.0; it must be above 0"),
        ({"budget": float("nan")}, OptionsError, "budget is nan; it must be above 0"),
    ],
)
def test_limits_that_cannot_be_met_leave_nothing(
    tiny_bundle: Bundle, tmp_path: Path, limits: dict[str, float], error: type[Exception], message: str
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    small = Recipe("small", (Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=32),))
    with pytest.raises(error, match=message):
        search(tiny_bundle.path, folder / "table", small, OPTIONS, **limits)
    assert list(folder.iterdir()) == []


def test_a_table_whose_place_is_taken(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("mine")
    with pytest.raises(OutputExistsError, match="table exists"):
        search(tiny_bundle.path, tmp_path / "table", BASE, OPTIONS)
    assert (tmp_path / "table").read_text() == "mine"


def test_a_search_of_a_quantized_bundle(base: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    with pytest.raises(QuantizationError, match=r"is quantized already \(recipe 'base'\)"):
        search(base.path, folder / "table", BASE, OPTIONS)
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_table(tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plot is written last, when the table is there already."""
    import errno
    import os

    from matplotlib.figure import Figure

    folder = tmp_path / "place"
    folder.mkdir()

    def full(*_: Any, **__: Any) -> None:
        assert len(list(folder.glob(".table.partial-*/sensitivity.md"))) == 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Figure, "savefig", full)
    small = Recipe("small", (Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=32),))
    with pytest.raises(BundleError, match=r"the disk is full: cannot write .*/table; nothing was kept"):
        search(tiny_bundle.path, folder / "table", small, OPTIONS)
    assert list(folder.iterdir()) == []
