"""The recipes that have a name, for Core ML bundles. They start from halves."""

from amused_edge.quantization.recipes.for_apple import COMMON, W6, W8, w4_rules
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import STAGES

W8_LUT = Recipe("w8-lut", (*COMMON, Rule("*", bits=8, palette=True)))
"""8-bit palettes: 256 values per weight, placed where they are needed."""

W4 = Recipe("w4", w4_rules([Rule(STAGES, bits=8)]), Calibration())
"""4-bit palettes with error feedback in the denoiser's layers and the conditioner, 8 bits elsewhere: the smallest."""

COREML_RECIPES = {recipe.name: recipe for recipe in (W8, W8_LUT, W6, W4)}

HALVES = "Core ML bundles are exported in halves"
ACTIVATIONS = "8-bit activations need ranges that coremltools measures by running Core ML, which takes a Mac"

NOT_FOR_COREML = {"fp16": HALVES, "w8a8": ACTIVATIONS, "w8a8-blocks": ACTIVATIONS}
"""Recipes of ONNX bundles, and why there are none of that name here."""
