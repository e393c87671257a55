"""What the recipes of all engines share: the weights that none of them can round cheaply."""

from amused_edge.quantization.recipes.rules import Rule

KEPT = (
    Rule("*/*.depthwise.weight"),  # nine values a channel, and all that a token knows of its place
    Rule("image_encoder/quant*"),  # feeds the search for the nearest code
)
"""Stay as they are."""

STAGES = "denoiser/*_block.*"
"""The conv stages, a ninth of the denoiser's weights at full size, suffer most from rounding. The layers between are
patient.
"""
