"""Recipe files: what they may say, what they mean, and the one line that says what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Calibration, Operator, Recipe, Rule


def recipe_file(folder: Path, content: Any) -> Path:
    file = folder / "mine.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


# --- What is right.


@pytest.mark.parametrize("name", RECIPES)
def test_a_named_recipe_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    file = recipe_file(tmp_path, recipe.to_json())
    assert load_recipe(file) == load_recipe(str(file)) == load_recipe(recipe) == recipe
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


def test_the_promised_recipes_exist() -> None:
    assert {"fp16", "w8", "w8a8", "w4"} <= set(RECIPES)


def test_every_field_survives_the_round_trip() -> None:
    recipe = Recipe(
        "mine: \u00e4",
        (
            Rule("a/*", "matmul", 4, 32, True, "blockwise", "feedback"),
            Rule("b/?", "conv", 8, activations="static"),
            Rule("c/[xy]"),
        ),
        Calibration(3, "percentile"),
    )
    content = json.loads(recipe.to_json())
    assert Recipe.from_dict(content) == recipe
    assert content["calibration"] == {"prompts": 3, "ranges": "percentile"}
    assert content["rules"][1:] == [
        {"tensors": "b/?", "operator": "conv", "bits": 8, "activations": "static"},
        {"tensors": "c/[xy]", "bits": 32},
    ]


def test_the_first_rule_that_fits_wins() -> None:
    recipe = Recipe(
        "mine",
        (Rule("r/a.*", operator="conv", bits=8), Rule("r/a.b"), Rule("r/a.*", bits=16), Rule("*", bits=8, block=32)),
    )
    assert recipe.rule("r", ["a.b"], "conv") is recipe.rules[0]
    assert recipe.rule("r", ["a.b"], "matmul") is recipe.rules[1]
    assert recipe.rule("r", ["a.c"], "table") is recipe.rules[2]
    assert recipe.rule("s", ["a.b"], "matmul") is recipe.rules[3]


def test_what_no_rule_fits_stays_as_it_is() -> None:
    recipe = Recipe("mine", (Rule("r/a", bits=8, block=32),))
    assert recipe.rule("r", ["b"], "matmul") == Rule("r/b", bits=32)


def test_patterns_match_the_checkpoint_names_of_a_folded_tensor() -> None:
    recipe = Recipe("mine", (Rule("denoiser/*.net.0.proj.weight", bits=8, block=32),))
    names = ("l.0.ff.net.0.gate.weight", "l.0.ff.net.0.proj.weight")
    assert recipe.rule("denoiser", names, "matmul") is recipe.rules[0]
    assert recipe.rule("conditioner", names, "matmul").bits == 32


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("r/A.b", False), ("r/a.b", True), ("r/*", True), ("*/a.?", True), ("*.b", True), ("a.b", False), ("r/a", False)],
)
def test_patterns_are_matched_whole_and_by_case(pattern: str, fits: bool) -> None:
    assert Rule(pattern).matches("r", ["a.b"], "matmul") is fits


# --- What is wrong with a rule.


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"operator": "gemm"}, "operator is 'gemm'; choose None, 'matmul', 'conv', 'table'"),
        (
            {"activations": "int8"},
            "activations is 'int8'; choose 'float', 'half', 'dynamic', 'rowwise', 'blockwise', 'static'",
        ),
        ({"rounding": "up"}, "rounding is 'up'; choose 'nearest', 'feedback'"),
        ({"bits": 3}, "bits is 3; choose 4, 6, 8, 16, 32"),
        ({"bits": 8.0}, "bits is 8.0; choose"),
        ({"bits": "8"}, "bits is '8'; choose"),
        ({"bits": True}, "bits is True; choose"),
        ({"bits": None}, "bits is None; choose"),
        ({"symmetric": 1}, "symmetric is 1; choose True, False"),
        ({"symmetric": "yes"}, "symmetric is 'yes'; choose True, False"),
        ({"bits": 16, "activations": "dynamic"}, "'dynamic' activations go with 8 bits, not 16"),
        ({"bits": 4, "activations": "dynamic"}, "'dynamic' activations go with 8 bits, not 4"),
        ({"bits": 4, "activations": "static"}, "'static' activations go with 8 bits, not 4"),
        ({"activations": "static"}, "'static' activations go with 8 bits, not 32"),
        ({"bits": 8, "activations": "half"}, "'half' activations go with 16 bits, not 8"),
        ({"bits": 16, "activations": "blockwise"}, "'blockwise' activations go with 4, 8 bits, not 16"),
        ({"bits": 8, "activations": "dynamic", "operator": "conv"}, "'dynamic' activations are not for conv"),
        ({"bits": 8, "activations": "dynamic", "operator": "table"}, "'dynamic' activations are not for table"),
        ({"bits": 8, "activations": "static", "operator": "table"}, "'static' activations are not for table"),
        ({"bits": 4, "block": 32, "activations": "blockwise", "operator": "conv"}, "'blockwise' .* not for conv"),
        *(
            ({"bits": 8, "block": block}, rf"block is {block!r}; give a power of two from 16 on")
            for block in (0, 1, 8, 48, -32, 32.0, "32", True)
        ),
        ({"bits": 16, "block": 32}, "16 bits with 'float' activations take no block"),
        ({"bits": 32, "block": 32}, "32 bits with 'float' activations take no block"),
        ({"bits": 16, "block": 32, "activations": "half"}, "16 bits with 'half' activations take no block"),
        ({"bits": 8, "block": 32, "activations": "dynamic"}, "8 bits with 'dynamic' activations take no block"),
        ({"bits": 8, "block": 32, "activations": "static"}, "8 bits with 'static' activations take no block"),
        (
            {"bits": 8, "rounding": "feedback"},
            "rounding 'feedback' is for blocks and palettes; give a block or a palette",
        ),
        ({"bits": 8, "rounding": "feedback", "activations": "dynamic"}, "rounding 'feedback' is for blocks"),
    ],
)
def test_an_invalid_rule_is_named_with_its_value(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    """The same in Python and in a file, where the file is named too."""
    with pytest.raises(RecipeError, match=rf"^rule 'r/\*\.w': {message}"):
        Rule("r/*.w", **fields)
    file = recipe_file(tmp_path, {"name": "mine", "rules": [{"tensors": "*"}, {"tensors": "r/*.w", **fields}]})
    with pytest.raises(RecipeError, match=rf"mine\.json: rule 'r/\*\.w': {message}"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("rule", "operator", "message"),
    [
        (Rule("r/*", bits=8, activations="dynamic"), "conv", "'dynamic' activations of r/w, a conv"),
        (Rule("r/*", bits=8, activations="static"), "matmul", "'static' activations of r/w, a matmul"),
        (Rule("r/*", bits=4, block=32), "conv", "4 bits of r/w, a conv"),
        (Rule("r/*", bits=4, block=32), "table", "4 bits of r/w, a table"),
        (Rule("r/*", bits=8), "matmul", "8 bits with 'float' activations and no block of r/w, a matmul"),
        (Rule("r/*", bits=4), "matmul", "4 bits with 'float' activations and no block of r/w, a matmul"),
        (Rule("r/*", bits=8, activations="blockwise"), "matmul", "8 bits with 'blockwise' activations and no block"),
    ],
)
def test_a_rule_that_cannot_be_applied_names_the_weight(rule: Rule, operator: Operator, message: str) -> None:
    with pytest.raises(RecipeError, match=rf"rule 'r/\*' asks for {message}.*; narrow its pattern or name an operator"):
        rule.check_fits("r", "w", operator)


# --- What is wrong with a recipe or its file.


@pytest.mark.parametrize(
    "rule", [Rule("r/a", bits=8, activations="static"), Rule("r/a", bits=4, block=32, rounding="feedback")]
)
def test_rules_that_need_a_calibration_say_so(rule: Rule, tmp_path: Path) -> None:
    message = "recipe 'mine' needs a calibration: rule 'r/a' has static activations or rounding 'feedback'"
    with pytest.raises(RecipeError, match=message):
        Recipe("mine", (Rule("b"), rule))
    whole = Recipe("mine", (Rule("b"), rule), Calibration())
    file = recipe_file(tmp_path, {"name": "mine", "rules": whole.to_dict()["rules"]})
    with pytest.raises(RecipeError, match=rf"mine\.json: {message}"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompts": 0}, "prompts is 0; it must be a whole number from 1 on"),
        ({"prompts": 2.5}, r"prompts is 2\.5; it must be"),
        ({"prompts": True}, "prompts is True; it must be"),
        ({"ranges": "entropy"}, "ranges is 'entropy'; choose 'minmax', 'percentile', 'mse'"),
    ],
)
def test_an_invalid_calibration_is_named_with_its_value(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"calibration: {message}"):
        Calibration(**fields)


RULE = {"tensors": "*"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"a recipe is \[\]; it must be a JSON object"),
        (None, "a recipe is None; it must be a JSON object"),
        ({"rules": [RULE]}, "a recipe lacks the field 'name'"),
        ({"name": "x"}, "a recipe lacks the field 'rules'"),
        ({"name": "x", "rules": []}, "recipe 'x' has no rules"),
        ({"name": "x", "rules": [RULE], "speed": 1}, "unknown field 'speed'; known are name, rules, calibration"),
        ({"name": 5, "rules": [RULE]}, r"a recipe has a 'name' \(text\) and 'rules' \(a list\)"),
        ({"name": "x", "rules": RULE}, r"a recipe has a 'name' \(text\) and 'rules' \(a list\)"),
        ({"name": "x", "rules": ["*"]}, r"a rule is '\*'; it must be a JSON object"),
        ({"name": "x", "rules": [{}]}, "a rule lacks the field 'tensors'"),
        ({"name": "x", "rules": [{"tensors": 7}]}, "a rule's 'tensors' is 7; it must be a pattern of ROLE/NAME"),
        ({"name": "x", "rules": [{"tensors": "*", "bit": 8}]}, "a rule has the unknown field 'bit'; known are tensors"),
        ({"name": "x", "rules": [{"tensors": "*", "bits": [8]}]}, r"rule '\*': bits is \[8\]; choose"),
        ({"name": "x", "rules": [RULE], "calibration": 16}, "a calibration is 16; it must be a JSON object"),
        ({"name": "x", "rules": [RULE], "calibration": {"n": 1}}, "a calibration has the unknown field 'n'; known are"),
        ({"name": "x", "rules": [RULE], "calibration": {"prompts": 0}}, "calibration: prompts is 0; it must be"),
    ],
)
def test_an_odd_file_is_named_with_what_is_odd(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"mine\.json: .*{message}") as error:
        load_recipe(recipe_file(tmp_path, content))
    assert "not JSON" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", '{"name": "x",}', "w8", "[" * 100_000])
def test_a_file_that_is_not_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"the recipe .*mine\.json is not JSON: "):
        load_recipe(recipe_file(tmp_path, text))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"the recipe .*mine\.json is not JSON: "):
        load_recipe(file)


@pytest.mark.parametrize("name", ["w9", "", "W8", "w8.onnx", "recipes/w8"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(RecipeError, match=r"choose fp16, w8, w8a8, .*w4, or give a FILE\.json"):
        load_recipe(name)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*none\.json: No such file"):
        load_recipe(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*folder\.json: "):
        load_recipe(tmp_path / "folder.json")
