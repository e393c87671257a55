"""The recipes that have a name, for Core AI bundles."""

from dataclasses import replace

from amused_edge.quantization.recipes.for_apple import COMMON, W6, W8, w4_rules
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import STAGES

_PRODUCTS_OF_8_BITS = Rule("denoiser/*", operator="matmul", bits=8, activations="static")

W8A8 = Recipe(
    "w8a8",
    (
        *COMMON,
        Rule("image_decoder/decoder.conv_*.weight", bits=8),  # the first convolution, and the one that makes the pixels
        Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
        Rule(STAGES, bits=8),
        _PRODUCTS_OF_8_BITS,
        replace(_PRODUCTS_OF_8_BITS, tensors="conditioner/*"),
        Rule("*", bits=8),
    ),
    Calibration(),
)
"""8-bit weights, and 8-bit inputs of the products that bear it, one scale for a whole tensor."""

W4 = Recipe("w4", w4_rules([Rule(STAGES, operator="matmul", bits=8, block=32)]), Calibration())
"""4-bit palettes with error feedback in the denoiser's layers and the conditioner, 8 bits elsewhere: the smallest."""

COREAI_RECIPES = {recipe.name: recipe for recipe in (W8, W8A8, W6, W4)}

HALVES = "Core AI bundles in halves are what export --precision float16 makes"
ACTIVATIONS = "scales of activations that are taken at run time are for ONNX bundles"

NOT_FOR_COREAI = {"fp16": HALVES, "w8a8-blocks": ACTIVATIONS}
"""Recipes of other targets, and why there are none of that name here."""
