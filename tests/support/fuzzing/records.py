"""What is read of recipes, and of what a device measured and drew."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from tests.support.fuzzing.mutate import mutated_json
from tests.support.fuzzing.parser import Parser, Read, of_file, of_text


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


class _Reference:
    """A bundle with a grid of 2 x 3 tokens, all of whose logits are zero."""

    def __init__(self) -> None:
        from amused_edge.runtime.bundle.manifest import Geometry

        self.geometry = Geometry(32, 48, 2, 3, 4, 5, 77)

    def condition(self, prompts: list[str]) -> list[str]:
        return prompts

    def generate(self, prompt: str, options: Any) -> Any:
        return SimpleNamespace(tokens=np.zeros((1, 2, 3), np.int64))

    def guided_logits(self, tokens: Any, rows: Any, conditioning: list[str], scale: float) -> Any:
        return np.zeros((len(rows), self.geometry.codebook_size), np.float32)


def _drawn() -> list[bytes]:
    """What a device sends of a picture: the last grid, and logits on the way to it."""

    def state(step: int, rows: list[int]) -> dict[str, Any]:
        tokens = [5 if place in rows else place % 4 for place in range(6)]
        logits = base64.b64encode(np.linspace(-2, 2, 4 * len(rows), dtype="<f4").tobytes()).decode()
        return {"step": step, "tokens": [tokens[:3], tokens[3:]], "rows": rows, "logits": logits}

    states = [state(0, [0, 1, 2, 3, 4, 5]), state(2, [1, 4])]
    return [json.dumps({"label": "w8", "tokens": [[0, 1, 2], [3, 0, 1]], "states": states}).encode()]


def _weigh(folder: Path) -> Read:
    from amused_edge.benchmarks.device.quality import Scales
    from amused_edge.runtime.errors import OptionsError
    from amused_edge.runtime.sampling.options import SamplerSettings

    scales = Scales(cast("Any", _Reference()), "a fox", SamplerSettings(steps=3), 7)

    def one(data: bytes) -> object:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:  # which the server makes its own error of
            raise OptionsError("no JSON") from error
        return scales.weigh(content)

    return one


RECORDS = {
    "recipe": Parser(_recipes, of_file("a.json", _read_recipe), mutated_json),
    "results": Parser(_results, of_text(_read_results), mutated_json),
    "drawn by a device": Parser(_drawn, _weigh, mutated_json),
}
