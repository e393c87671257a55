"""What is read of recipes, and of results that a device measured."""

import json
from pathlib import Path

from tests.support.fuzzing.mutate import mutated_json
from tests.support.fuzzing.parser import Parser, of_file, of_text


def _recipes() -> list[bytes]:
    from amused_edge.quantization.recipes.for_onnx import RECIPES

    return [recipe.to_json().encode() for recipe in list(RECIPES.values())[:5]]


def _read_recipe(path: Path) -> object:
    from amused_edge.quantization.recipes.named import load_recipe

    return load_recipe(path)


def _results() -> list[bytes]:
    from tests.support.device_results import device_results

    return [json.dumps(device_results(name)).encode() for name in (None, "Phone")]


def _read_results(text: str) -> object:
    from amused_edge.benchmarks.device.results import parse_results

    return parse_results(text)


RECORDS = {
    "recipe": Parser(_recipes, of_file("a.json", _read_recipe), mutated_json),
    "results": Parser(_results, of_text(_read_results), mutated_json),
}
