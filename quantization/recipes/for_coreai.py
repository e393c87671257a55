"""The recipes that have a name, for Core AI bundles."""

from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import KEPT, STAGES

_COMMON = (*KEPT, Rule("image_decoder/code_table"))

W8 = Recipe("w8", (*_COMMON, Rule("*", bits=8)))
"""8-bit weights, one scale per output channel."""

W8A8 = Recipe(
    "w8a8",
    (
        *_COMMON,
        Rule("*", operator="table", bits=8),
        Rule("*", bits=8, activations="static"),
    ),
    Calibration(),
)
"""8-bit weights, and what they meet rounded to 8 bits too, one scale for a whole tensor."""

W6 = Recipe(
    "w6",
    (
        *_COMMON,
        Rule(STAGES, bits=8),
        Rule("image_*/*", bits=8),
        Rule("*", bits=6, palette=True, group=16),
    ),
)
"""6-bit palettes; 8 bits with scales where rounding hurts most, and in the VQ-GAN."""

W4 = Recipe(
    "w4",
    (
        *_COMMON,
        Rule(STAGES, bits=8),
        Rule("denoiser/mlm_layer.*", bits=8),
        Rule("denoiser/*", operator="matmul", bits=4, block=32, rounding="feedback"),
        Rule("conditioner/*", operator="matmul", bits=4, block=32, rounding="feedback"),
        Rule("*", bits=8),
    ),
    Calibration(),
)
"""4-bit blocks with error feedback where they are borne, 8 bits elsewhere: the smallest."""

COREAI_RECIPES = {recipe.name: recipe for recipe in (W8, W8A8, W6, W4)}

HALVES = "Core AI bundles in halves are what export --precision float16 makes"
ACTIVATIONS = "scales of activations that are taken at run time are for ONNX bundles"

NOT_FOR_COREAI = {"fp16": HALVES, "w8a8-blocks": ACTIVATIONS}
"""Recipes of other targets, and why there are none of that name here."""
