"""The recipes that have a name, for ONNX bundles, and why they are as they are; and how a recipe is found."""

import json
from pathlib import Path

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.named_coreml_recipes import COREML_RECIPES, NOT_FOR_COREML
from amused_edge.quantization.recipes import Calibration, Recipe, Rule
from amused_edge.runtime.errors import quoted

_COMMON = (
    Rule("*/*.depthwise.weight"),  # nine values a channel, and all that a token knows of its place
    Rule("image_encoder/quant*"),  # feeds the search for the nearest code
    Rule("image_decoder/code_table", bits=16),
    Rule("*", operator="table", bits=8),
)
"""What all 8-bit and 4-bit recipes share."""

_FLOAT_CONVS = Rule("*", operator="conv", bits=8)
_STATIC_DECODER = (
    Rule("image_decoder/decoder.conv_*.weight", bits=8),  # the first convolution, and the one that makes the pixels
    Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
)

_STAGES = "denoiser/*_block.*"
_STAGE_MLPS = "denoiser/*.channelwise_linear_?.weight"
"""The conv stages, a ninth of the denoiser's weights at full size, suffer most from rounding, and in them the ConvNeXt
MLPs: global response norm lifts single channels, next to which the rest drowns. The layers between are patient.
"""

FP16 = Recipe(
    "fp16",
    (
        Rule("image_*/*", bits=16),  # the VQ-GAN gives NaN in halves: stored only
        Rule("*", bits=16, activations="half"),
    ),
)
"""Halves."""

W8 = Recipe(
    "w8",
    (
        *_COMMON,
        _FLOAT_CONVS,
        Rule(_STAGE_MLPS, bits=8, block=16),
        Rule(_STAGES, operator="matmul", bits=8, block=32),
        Rule("*", operator="matmul", bits=8, block=128),
    ),
)
"""8-bit weights, float32 arithmetic. Needs no calibration."""

W8A8 = Recipe(
    "w8a8",
    (
        *_COMMON,
        *_STATIC_DECODER,
        _FLOAT_CONVS,
        Rule(_STAGES, operator="matmul", bits=8, activations="rowwise"),
        Rule("*", operator="matmul", bits=8, activations="dynamic"),
    ),
    Calibration(),
)
"""8-bit weights and activations, one activation scale per tensor where that will do, one per row in the conv stages:
the fastest on x86.
"""

W8A8_BLOCKS = Recipe(
    "w8a8-blocks",
    (
        *_COMMON,
        *_STATIC_DECODER,
        _FLOAT_CONVS,
        Rule("*", operator="matmul", bits=8, block=32, symmetric=True, activations="blockwise"),
    ),
    Calibration(),
)
"""8-bit weights and activations, one activation scale per row and block: more faithful, and no picture can depend on
what shares its batch. ONNX Runtime has kernels of this kind for ARM.
"""

W4 = Recipe(
    "w4",
    (
        *_COMMON,
        _FLOAT_CONVS,
        Rule(_STAGES, operator="matmul", bits=8, block=128, rounding="feedback"),
        Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=128),
        Rule("denoiser/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("conditioner/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("*", operator="matmul", bits=8, block=128),
    ),
    Calibration(),
)
"""4-bit weights with error feedback where they are borne, 8-bit elsewhere, float32 arithmetic: the smallest."""

RECIPES = {recipe.name: recipe for recipe in (FP16, W8, W8A8, W8A8_BLOCKS, W4)}


def load_recipe(source: str | Path | Recipe, target: str = "onnx") -> Recipe:
    """Return a recipe: as it is, by its name, or from a JSON file.

    Parameters
    ----------
    target
        Of the bundle: "onnx" or "coreml". A name stands for another recipe with each.

    Raises
    ------
    RecipeError
        There is no such recipe or file, or it is not valid.
    """
    if isinstance(source, Recipe):
        return source
    named = COREML_RECIPES if target == "coreml" else RECIPES
    if isinstance(source, str) and source in named:
        return named[source]
    if target == "coreml" and source in NOT_FOR_COREML:
        raise RecipeError(
            f"recipe {quoted(source)} is not for Core ML: {NOT_FOR_COREML[str(source)]}; choose {', '.join(named)}"
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
