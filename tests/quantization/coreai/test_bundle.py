"""A whole bundle by a recipe with every kind of rule: drawn, measured and written by the runtime that will run it."""

import hashlib
import json

import pytest

from amused_edge.quantization import account
from amused_edge.quantization.coreai.plan import make_plan
from amused_edge.quantization.recipes.for_coreai import COREAI_RECIPES
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.pipeline import AmusedPipeline
from tests.support.coreai import STATIC, Found, needs_coreai

pytestmark = needs_coreai


@pytest.mark.parametrize("name", COREAI_RECIPES)
def test_each_named_recipe_fits_a_bundle(name: str, halves: Bundle) -> None:
    plans = make_plan(halves, load_recipe(name, "coreai"))
    assert plans.keys() == set(ROLES)
    for plan in plans.values():
        assert any(rule.bits < 32 for rule in plan.rules.values())


def test_the_manifest_says_how_it_was_made(made: Bundle, halves: Bundle, found: Found) -> None:
    manifest = made.manifest
    assert (manifest.target, manifest.parity, manifest.simulated) == ("coreai", None, None)
    assert manifest.quantization is not None
    recipe = Recipe.from_dict(manifest.quantization.recipe)
    assert found.result.recipe is not None
    assert recipe.rules == found.result.recipe.rules
    assert recipe.calibration is not None
    assert recipe.calibration.prompts == 1
    assert manifest.quantization.parent == hashlib.sha256((halves.path / "manifest.json").read_bytes()).hexdigest()
    assert manifest.quantization.logits is not None
    assert 0 < manifest.quantization.logits.mean_kl < 0.5
    for role in ROLES:
        graph, parent = manifest.graphs[role], halves.graph(role)
        assert (graph.inputs, graph.outputs, graph.derived_tensors) == (
            parent.inputs,
            parent.outputs,
            parent.derived_tensors,
        )
        changed = any(rule.tensors.startswith(role) for rule in recipe.rules)
        assert (graph.bytes < parent.bytes) == changed
        assert graph.executed_precision.endswith("(as the program asks)")
    written = {f"{role}/{name}": each for role in ROLES for name, each in manifest.graphs[role].tensors.items()}
    static = {place for place, format_ in written.items() if format_.activations == "static int8"}
    assert static == {place for place in STATIC if recipe_of(recipe, place).activations == "static"}
    assert static
    rounded = {role for role in ROLES if "of int8 inputs" in manifest.graphs[role].executed_precision}
    assert rounded == {place.partition("/")[0] for place in static}


def recipe_of(recipe: Recipe, place: str) -> Rule:
    role, _, name = place.partition("/")
    return recipe.rule(role, [name], "conv" if role == "image_decoder" else "matmul")


def test_the_account_lies_beside_it(made: Bundle) -> None:
    data, page = account.paths(made.path)
    written = json.loads(data.read_text(encoding="utf-8"))
    assert written["engine"].startswith("coreai ")
    assert made.manifest.quantization is not None
    assert made.manifest.quantization.logits is not None
    assert written["logits"]["mean_kl"] == made.manifest.quantization.logits.mean_kl
    assert "batch_matmul in float16" in page.read_text(encoding="utf-8")


def test_it_draws_its_golden_picture(made: Bundle) -> None:
    with AmusedPipeline.from_bundle(made.path) as pipeline:
        assert golden_check.compare(pipeline).reproduced
