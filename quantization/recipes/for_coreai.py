"""The recipes that have a name, for Core AI bundles."""

from dataclasses import replace

from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import KEPT, STAGES

_COMMON = (*KEPT, Rule("image_decoder/code_table"))

W8 = Recipe("w8", (*_COMMON, Rule("*", bits=8)))
"""8-bit weights, one scale per output channel."""

_PRODUCTS_OF_8_BITS = Rule("denoiser/*", operator="matmul", bits=8, activations="static")

W8A8 = Recipe(
    "w8a8",
    (
        *_COMMON,
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
        Rule(STAGES, operator="matmul", bits=8, block=32),
        Rule("denoiser/mlm_layer.*", bits=8),
        Rule("denoiser/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("conditioner/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("*", bits=8),
    ),
    Calibration(),
)
"""4-bit blocks with error feedback in the denoiser's layers and the conditioner, 8 bits elsewhere: the smallest."""

COREAI_RECIPES = {recipe.name: recipe for recipe in (W8, W8A8, W6, W4)}

HALVES = "Core AI bundles in halves are what export --precision float16 makes"
ACTIVATIONS = "scales of activations that are taken at run time are for ONNX bundles"

NOT_FOR_COREAI = {"fp16": HALVES, "w8a8-blocks": ACTIVATIONS}
"""Recipes of other targets, and why there are none of that name here."""
