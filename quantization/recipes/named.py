"""How a recipe is found: by its name, or in a file."""

import json
from pathlib import Path

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.recipes.for_coreai import COREAI_RECIPES, NOT_FOR_COREAI
from amused_edge.quantization.recipes.for_coreml import COREML_RECIPES, NOT_FOR_COREML
from amused_edge.quantization.recipes.for_onnx import RECIPES
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.bundle.manifest import TARGETS
from amused_edge.runtime.errors import quoted

_NAMED = {"onnx": RECIPES, "coreml": COREML_RECIPES, "coreai": COREAI_RECIPES}
_REFUSED: dict[str, dict[str, str]] = {"onnx": {}, "coreml": NOT_FOR_COREML, "coreai": NOT_FOR_COREAI}
"""Target -> names that stand for a recipe of another one, and why for none here."""


def load_recipe(source: str | Path | Recipe, target: str = "onnx") -> Recipe:
    """Return a recipe: as it is, by its name, or from a JSON file.

    Parameters
    ----------
    target
        Of the bundle: "onnx", "coreml" or "coreai". A name stands for another recipe with each.

    Raises
    ------
    RecipeError
        There is no such recipe or file, or it is not valid.
    """
    if isinstance(source, Recipe):
        return source
    named = _NAMED[target]
    if isinstance(source, str) and source in named:
        return named[source]
    if source in _REFUSED[target]:
        raise RecipeError(
            f"recipe {quoted(source)} is not for {TARGETS[target]}: {_REFUSED[target][str(source)]}; choose "
            f"{', '.join(named)}"
        )
    path = Path(source)
    if path.suffix != ".json":
        raise RecipeError(f"there is no recipe {quoted(str(source))}; choose {', '.join(named)}, or give a FILE.json")
    try:
        return Recipe.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except RecipeError as error:  # a ValueError too
        raise RecipeError(f"{path}: {error}") from error
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe {path} is not JSON: {error}") from error
