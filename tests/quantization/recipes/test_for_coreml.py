"""Rules for Core ML: six bits, palettes, groups; which recipe a name stands for; where each is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.onnx.plan import make_plan
from amused_edge.quantization.recipes.for_coreml import COREML_RECIPES
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle


@pytest.mark.parametrize("name", COREML_RECIPES)
def test_a_named_recipe_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, "coreml")
    assert recipe.name == name
    file = tmp_path / "mine.json"
    file.write_text(recipe.to_json(), encoding="utf-8")
    for target in ("onnx", "coreml"):
        assert load_recipe(file, target) == load_recipe(str(file), target) == load_recipe(recipe, target) == recipe


def test_the_promised_recipes_exist() -> None:
    assert {"w8", "w8-lut", "w6", "w4"} == set(COREML_RECIPES)


@pytest.mark.parametrize("name", ["w8", "w4"])
def test_a_name_stands_for_another_recipe_with_each_target(name: str) -> None:
    assert load_recipe(name) == load_recipe(name, "onnx") == RECIPES[name]
    assert load_recipe(name, "coreml") == COREML_RECIPES[name] != RECIPES[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp16", "Core ML bundles are exported in halves"),
        ("w8a8", "8-bit activations need ranges that coremltools measures by running Core ML, which takes a Mac"),
        ("w8a8-blocks", "8-bit activations need ranges that coremltools measures by running Core ML"),
    ],
)
def test_a_recipe_for_onnx_alone_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=f"recipe '{name}' is not for Core ML: {reason}.*; choose w8, w8-lut, w6, w4"):
        load_recipe(name, "coreml")


@pytest.mark.parametrize("name", ["w8-lut", "w6"])
def test_a_recipe_for_core_ml_alone_is_unknown_for_onnx(name: str) -> None:
    with pytest.raises(RecipeError, match=f"there is no recipe '{name}'; choose fp16, w8, w8a8"):
        load_recipe(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe 'w2'; choose w8, w8-lut, w6, w4, or give a FILE\.json"):
        load_recipe("w2", "coreml")


def test_every_field_survives_the_round_trip() -> None:
    recipe = Recipe("mine", (Rule("a/*", bits=6, palette=True, group=4), Rule("b", "conv", 8, palette=True)))
    content = json.loads(recipe.to_json())
    assert Recipe.from_dict(content) == recipe
    assert content["rules"] == [
        {"tensors": "a/*", "bits": 6, "palette": True, "group": 4},
        {"tensors": "b", "operator": "conv", "bits": 8, "palette": True},
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 6}, '6 bits and groups are for palettes; add "palette": true'),
        ({"bits": 8, "group": 4}, "6 bits and groups are for palettes"),
        ({"group": 4}, "6 bits and groups are for palettes"),
        ({"palette": True}, "a palette has up to 8 bits"),
        ({"bits": 16, "palette": True}, "a palette has up to 8 bits"),
        ({"bits": 8, "palette": True, "block": 32}, "a palette has up to 8 bits, 'float' activations, no block"),
        ({"bits": 8, "palette": True, "block": 32, "rounding": "feedback"}, "a palette has up to 8 bits"),
        ({"bits": 8, "palette": True, "activations": "dynamic"}, "a palette has up to 8 bits, 'float' activations"),
        ({"bits": 6, "activations": "dynamic"}, "'dynamic' activations go with 8 bits, not 6"),
        ({"bits": 6, "activations": "blockwise"}, "'blockwise' activations go with 4, 8 bits, not 6"),
        ({"bits": 4, "palette": 1}, "palette is 1; choose True, False"),
        ({"bits": 4, "palette": "yes"}, "palette is 'yes'; choose"),
        *(
            ({"bits": 4, "palette": True, "group": group}, f"group is {group!r}; give a whole number")
            for group in (0, -4, 1.5, "8", True)
        ),
        ({"bits": 3, "palette": True}, "bits is 3; choose 4, 6, 8, 16, 32"),
    ],
)
def test_an_invalid_rule_is_named_with_its_value(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=rf"^rule 'r/\*\.w': {message}"):
        Rule("r/*.w", **fields)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("r/a.0.to_q.weight", True),
        ("r/a_0_to_q_weight", True),
        ("r/a.0_to.q.weight", True),
        ("r/a.?.to_q.*", True),
        ("r/*_to_q.weight", True),
        ("r/*.to.q_weight", True),
        ("r/a.[0-3].to_q.weight", True),
        ("r/a.[1-3].to_q.weight", False),
        ("r/a0.to_q.weight", False),
        ("r/A.0.to_q.weight", False),
    ],
)
@pytest.mark.parametrize("name", ["a.0.to_q.weight", "a_0_to_q_weight"])
def test_dots_and_underscores_are_alike(name: str, pattern: str, fits: bool) -> None:
    assert Rule(pattern).matches("r", [name], "matmul") is fits


@pytest.mark.parametrize("name", ["w8-lut", "w6"])
def test_palettes_are_refused_for_onnx_bundles(name: str, tiny_bundle: Bundle) -> None:
    with pytest.raises(RecipeError, match=r"asks for a palette of .* which no engine computes"):
        make_plan(tiny_bundle, COREML_RECIPES[name])


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_a_rule_with_a_palette_fits_no_weight_of_onnx(bits: int) -> None:
    rule = Rule("r/*", bits=bits, palette=True)
    for operator in ("matmul", "conv", "table"):
        with pytest.raises(RecipeError, match=rf"rule 'r/\*' asks for a palette of r/w, a {operator}"):
            rule.check_fits("r", "w", operator)
