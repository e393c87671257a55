"""Recipes of Core AI bundles: which there are, and which names of others are refused."""

from pathlib import Path

import pytest

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.recipes.for_coreai import COREAI_RECIPES
from amused_edge.quantization.recipes.for_coreml import COREML_RECIPES
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.named import load_recipe


def test_the_promised_recipes_exist() -> None:
    assert set(COREAI_RECIPES) == {"w8", "w8a8", "w6", "w4"}


@pytest.mark.parametrize("name", COREAI_RECIPES)
def test_a_named_recipe_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, "coreai")
    assert recipe.name == name
    file = tmp_path / "mine.json"
    file.write_text(recipe.to_json(), encoding="utf-8")
    assert load_recipe(file, "coreai") == recipe


def test_a_name_stands_for_another_recipe_with_each_target() -> None:
    assert load_recipe("w8", "coreai") != RECIPES["w8"]
    assert load_recipe("w4", "coreai") not in (RECIPES["w4"], COREML_RECIPES["w4"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp16", "not for Core AI: Core AI bundles in halves are what export --precision float16 makes"),
        ("w8a8-blocks", "not for Core AI: scales of activations that are taken at run time are for ONNX bundles"),
        ("w8-lut", "there is no recipe 'w8-lut'"),
        ("w2", "there is no recipe 'w2'"),
    ],
)
def test_a_recipe_of_another_target_is_refused(name: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=f"{reason}.*; choose w8, w8a8, w6, w4"):
        load_recipe(name, "coreai")
