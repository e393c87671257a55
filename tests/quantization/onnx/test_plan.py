"""What a recipe means for a bundle: which rule each of its weights follows, and the recipes that do not fit it."""

from dataclasses import replace

import onnx
import pytest

from amused_edge.quantization.errors import QuantizationError, RecipeError
from amused_edge.quantization.onnx.apply import what_to_watch
from amused_edge.quantization.onnx.plan import make_plan, read_weights
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity, Quantization

EIGHT = Rule("denoiser/*", operator="matmul", bits=8, block=32)


def test_every_factor_of_a_product_is_a_weight(tiny_bundle: Bundle) -> None:
    """Naive tools skip Gemms, 1x1 convolutions and tables. Counted here in the files, without our code."""
    for role in ROLES:
        graph = onnx.load(tiny_bundle.file(tiny_bundle.graph(role).files[0]), load_external_data=False).graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        uses: dict[str, set[tuple[str, int]]] = {}
        for one in graph.node:
            for place, name in enumerate(one.input):
                uses.setdefault(name, set()).add((one.op_type, place))
        factors = [("MatMul", 1), ("Gemm", 1), ("Conv", 1), ("Gather", 0)]
        alike = {name for name, found in uses.items() if any(found == {factor} for factor in factors)}
        floats = {name for name in alike & set(tensors) if tensors[name].data_type == onnx.TensorProto.FLOAT}
        plan = read_weights(tiny_bundle, role)
        assert set(plan.weights) == floats
        assert floats
        assert "Gemm" not in {one.op_type for one in plan.model.graph}


def test_unplanned_weights_stay_as_they_are(tiny_bundle: Bundle) -> None:
    plan = read_weights(tiny_bundle, "denoiser")
    assert not plan.changed
    assert not plan.half
    assert {rule.bits for rule in plan.rules.values()} == {32}


@pytest.mark.parametrize("name", RECIPES)
def test_named_recipes_fit_what_export_writes(tiny_bundle: Bundle, name: str) -> None:
    plans = make_plan(tiny_bundle, RECIPES[name])
    assert set(plans) == set(ROLES)
    for plan in plans.values():
        assert set(plan.rules) == set(plan.weights)
        assert plan.changed


def test_a_rule_reaches_only_what_it_matches(tiny_bundle: Bundle) -> None:
    plans = make_plan(tiny_bundle, Recipe("mine", (EIGHT,)))
    assert {role: plan.changed for role, plan in plans.items()} == {role: role == "denoiser" for role in ROLES}
    denoiser = plans["denoiser"]
    for name, weight in denoiser.weights.items():
        assert denoiser.rules[name].bits == (8 if weight.operator == "matmul" else 32)


def test_a_checkpoint_name_reaches_the_tensor_it_was_folded_into(tiny_bundle: Bundle) -> None:
    rule = Rule("denoiser/transformer_layers.1.ff.net.0.proj.weight", bits=8, block=16)
    plan = make_plan(tiny_bundle, Recipe("mine", (rule,)))["denoiser"]
    changed = {name for name, found in plan.rules.items() if found.bits < 32}
    assert changed == {f"transformer_layers.1.ff.net.0.{part}.weight" for part in ("value", "gate")}
    assert all(plan.rules[name] is rule for name in changed)


def test_the_first_rule_wins_for_a_whole_bundle(tiny_bundle: Bundle) -> None:
    kept = Rule("denoiser/transformer_layers.0.*")
    plan = make_plan(tiny_bundle, Recipe("mine", (kept, EIGHT)))["denoiser"]
    for name, weight in plan.weights.items():
        if weight.operator == "matmul":
            assert plan.rules[name] is (kept if name.startswith("transformer_layers.0.") else EIGHT)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule("denoiser/*.nothing.weight"), r"the pattern 'denoiser/\*\.nothing\.weight' matches no weight; patterns"),
        (Rule("transformer_layers.*"), r"the pattern 'transformer_layers\.\*' matches no weight; patterns are matched"),
        (Rule("image_decoder/*", operator="matmul"), r"'image_decoder/\*' matches no weight of a matmul; patterns"),
        (
            Rule("denoiser/*.gamma", bits=16),
            r"'denoiser/\*\.gamma' matches no weight; patterns are matched with ROLE/NAME",
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_named(tiny_bundle: Bundle, rule: Rule, message: str) -> None:
    """Also behind one that matches everything: a typing error is one wherever it stands."""
    for rules in ((rule,), (EIGHT, rule), (Rule("*"), rule)):
        with pytest.raises(RecipeError, match=rf"^recipe 'mine': .*{message}"):
            make_plan(tiny_bundle, Recipe("mine", rules))


def test_a_rule_that_an_earlier_one_hides_is_no_error(tiny_bundle: Bundle) -> None:
    """The later one matches weights, as its pattern should, and changes none of them."""
    first = Rule("*")
    plans = make_plan(tiny_bundle, Recipe("mine", (first, EIGHT)))
    assert any(EIGHT.matches("denoiser", w.names, w.operator) for w in plans["denoiser"].weights.values())
    assert all(rule is first for plan in plans.values() for rule in plan.rules.values())


def test_a_rule_that_no_engine_computes_names_the_weight(tiny_bundle: Bundle) -> None:
    with pytest.raises(RecipeError, match=r"rule 'text_encoder/\*' asks for 4 bits of text_encoder/.*, a table"):
        make_plan(tiny_bundle, Recipe("mine", (Rule("text_encoder/*", bits=4, block=32),)))


@pytest.mark.parametrize("other", [Rule("denoiser/mlm_layer.*", bits=8, block=32), Rule("denoiser/embed.*", bits=16)])
def test_halves_do_not_mix_with_other_kinds_in_a_graph(tiny_bundle: Bundle, other: Rule) -> None:
    half = Rule("denoiser/*", bits=16, activations="half")
    if not any(
        other.matches("denoiser", w.names, w.operator) for w in read_weights(tiny_bundle, "denoiser").weights.values()
    ):
        pytest.fail(f"{other.tensors} matches nothing in the tiny bundle")
    with pytest.raises(
        RecipeError, match=r"recipe 'mine' has 'half' activations in denoiser and rule 'denoiser/.*\.\*'"
    ):
        make_plan(tiny_bundle, Recipe("mine", (replace(other, operator=None), half)))


def test_halves_mix_with_32_bits_and_with_other_graphs(tiny_bundle: Bundle) -> None:
    rules = (
        Rule("denoiser/mlm_layer.*"),
        Rule("denoiser/*", bits=16, activations="half"),
        Rule("conditioner/*", operator="matmul", bits=8, block=32),
    )
    plans = make_plan(tiny_bundle, Recipe("mine", rules))
    assert plans["denoiser"].half
    assert not plans["conditioner"].half
    assert plans["conditioner"].changed


def test_calibration_watches_what_the_rules_need(tiny_bundle: Bundle) -> None:
    """A rule may be for everything: only matmuls are rounded with feedback, and a table has no input to watch."""
    rules = (
        Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
        Rule("*", bits=8, block=32, rounding="feedback"),
    )
    plans = make_plan(tiny_bundle, Recipe("mine", rules, Calibration(1)))
    for role, plan in plans.items():
        watch = what_to_watch(plan)
        products, ranges = (watch.products, watch.ranges) if watch is not None else (set(), set())
        matmuls = [one for one in plan.model.graph if one.op_type == "MatMul" and one.inputs[1].name in plan.weights]
        convolutions = [one for one in plan.model.graph if one.op_type == "Conv" and role == "image_decoder"]
        assert products == {one.inputs[0].name for one in matmuls}
        assert ranges == {value.name for one in convolutions for value in (one.inputs[0], one.outputs[0])}


def quantized(bundle: Bundle) -> Bundle:
    logits = LogitFidelity(1, 1, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)
    made = Quantization(RECIPES["w8"].to_dict(), "0" * 64, logits, PictureFidelity(None, None, None, 1.0))
    return replace(bundle, manifest=replace(bundle.manifest, quantization=made))


def test_a_quantized_bundle_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(QuantizationError, match=r"is quantized already \(recipe 'w8'\).*quantize the bundle that"):
        make_plan(quantized(tiny_bundle), RECIPES["w4"])
