"""The recipes that have a name, and why they are as they are."""

import json
from pathlib import Path

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.recipes import Calibration, Recipe, Rule

_KEPT = (
    Rule("*/*.depthwise.weight"),
    Rule("image_encoder/quant*"),
)
"""Nine values a channel, where all position comes from; the nearest-code search and what feeds it."""

_CODES = Rule("image_decoder/code_table", bits=16)
_TABLES = Rule("*", operator="table", bits=8)
_CONVS = Rule("*", operator="conv", bits=8)
_EIGHT = Rule("*", operator="matmul", bits=8, block=64)

_OUTLIERS = Rule("denoiser/*.channelwise_linear_?.weight", bits=8, block=32, symmetric=True, activations="blockwise")
"""The ConvNeXt MLPs: global response norm lifts single channels, and one scale for the whole tensor drowns the rest."""

_DECODER = (
    Rule("image_decoder/decoder.conv_*.weight", bits=8),
    Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
)
"""Static 8-bit convolutions, but for the first and the one that makes the pixels."""

_FOUR = (
    Rule("denoiser/*_block.*", operator="matmul", bits=8, block=64),
    Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=64),
    Rule("denoiser/*", operator="matmul", bits=4, block=64, rounding="feedback"),
    Rule("conditioner/*", operator="matmul", bits=4, block=64, rounding="feedback"),
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp16", (Rule("image_*/*", bits=16), Rule("*", bits=16, activations="half"))),
        Recipe("w8", (*_KEPT, _CODES, _TABLES, _CONVS, _EIGHT)),
        Recipe(
            "w8a8",
            (
                *_KEPT,
                _CODES,
                _TABLES,
                *_DECODER,
                _CONVS,
                _OUTLIERS,
                Rule("*", operator="matmul", bits=8, activations="dynamic"),
            ),
            Calibration(),
        ),
        Recipe(
            "w8a8-blocks",
            (
                *_KEPT,
                _CODES,
                _TABLES,
                *_DECODER,
                _CONVS,
                Rule("*", operator="matmul", bits=8, block=32, symmetric=True, activations="blockwise"),
            ),
            Calibration(),
        ),
        Recipe("w4", (*_KEPT, _CODES, _TABLES, _CONVS, *_FOUR, _EIGHT), Calibration()),
    )
}
"""By name."""


def load_recipe(source: str | Path | Recipe) -> Recipe:
    """Return a recipe: as it is, by its name, or from a JSON file.

    Raises
    ------
    RecipeError
        There is no such recipe or file, or it is not valid.
    """
    if isinstance(source, Recipe):
        return source
    if isinstance(source, str) and source in RECIPES:
        return RECIPES[source]
    path = Path(source)
    if path.suffix != ".json":
        raise RecipeError(f"there is no recipe {str(source)!r}; choose {', '.join(RECIPES)}, or give a FILE.json")
    try:
        return Recipe.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe {path} is not JSON: {error}") from error
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
