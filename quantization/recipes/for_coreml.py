"""The recipes that have a name, for Core ML bundles. They start from halves."""

from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import KEPT, STAGES

_COMMON = (*KEPT, Rule("image_decoder/code_table"))

W8 = Recipe("w8", (*_COMMON, Rule("*", bits=8)))
"""8-bit weights, one scale per output channel."""

W8_LUT = Recipe("w8-lut", (*_COMMON, Rule("*", bits=8, palette=True)))
"""8-bit palettes: 256 values per weight, placed where they are needed."""

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
        Rule("denoiser/*", operator="table", bits=8),
        Rule("denoiser/*", bits=4, palette=True, group=16, rounding="feedback"),
        Rule("conditioner/*", bits=4, palette=True, group=16, rounding="feedback"),
        Rule("*", bits=8),
    ),
    Calibration(),
)
"""4-bit palettes with error feedback in the denoiser's layers and the conditioner, 8 bits elsewhere: the smallest."""

COREML_RECIPES = {recipe.name: recipe for recipe in (W8, W8_LUT, W6, W4)}

HALVES = "Core ML bundles are exported in halves"
ACTIVATIONS = "8-bit activations need ranges that coremltools measures by running Core ML, which takes a Mac"

NOT_FOR_COREML = {"fp16": HALVES, "w8a8": ACTIVATIONS, "w8a8-blocks": ACTIVATIONS}
"""Recipes of ONNX bundles, and why there are none of that name here."""
