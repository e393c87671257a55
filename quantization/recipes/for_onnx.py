"""The recipes that have a name, for ONNX bundles, and why they are as they are; and how a recipe is found."""

from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.recipes.shared import KEPT, STAGES

_CODE_TABLE = Rule("image_decoder/code_table")
"""Stays: rows looked up in halves need a GPU that has halves, to save a thousandth of a bundle's size."""

_COMMON = (
    *KEPT,
    _CODE_TABLE,
    Rule("*", operator="table", bits=8),
)
"""What all 8-bit and 4-bit recipes share."""

_FLOAT_CONVS = Rule("*", operator="conv", bits=8)
_STATIC_DECODER = (
    Rule("image_decoder/decoder.conv_*.weight", bits=8),  # the first convolution, and the one that makes the pixels
    Rule("image_decoder/*", operator="conv", bits=8, activations="static"),
)

_STAGE_MLPS = "denoiser/*.channelwise_linear_?.weight"
"""The ConvNeXt MLPs suffer most of all the conv stages: global response norm lifts single channels, next to which the
rest drowns.
"""

FP16 = Recipe(
    "fp16",
    (
        _CODE_TABLE,
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
        Rule(STAGES, operator="matmul", bits=8, block=32),
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
        Rule(STAGES, operator="matmul", bits=8, activations="rowwise"),
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
        Rule(STAGES, operator="matmul", bits=8, block=128, rounding="feedback"),
        Rule("denoiser/mlm_layer.*", operator="matmul", bits=8, block=128),
        Rule("denoiser/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("conditioner/*", operator="matmul", bits=4, block=64, rounding="feedback"),
        Rule("*", operator="matmul", bits=8, block=128),
    ),
    Calibration(),
)
"""4-bit weights with error feedback where they are borne, 8-bit elsewhere, float32 arithmetic: the smallest."""

RECIPES = {recipe.name: recipe for recipe in (FP16, W8, W8A8, W8A8_BLOCKS, W4)}
