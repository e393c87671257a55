"""The recipes that have a name, for Core ML bundles. They start from halves."""

from amused_edge.quantization.recipes import Recipe, Rule

_COMMON = (
    Rule("*/*.depthwise.weight"),  # nine values a channel, and all that a token knows of its place
    Rule("image_encoder/quant*"),  # feeds the search for the nearest code
    Rule("image_decoder/code_table"),
)

_STAGES = "denoiser/*_block.*"
"""See `named_recipes`: a ninth of the denoiser's weights, and the ones that suffer most."""

W8 = Recipe("w8", (*_COMMON, Rule("*", bits=8)))
"""8-bit weights, one scale per output channel."""

W8_LUT = Recipe("w8-lut", (*_COMMON, Rule("*", bits=8, palette=True)))
"""8-bit palettes: 256 values per weight, placed where they are needed."""

W6 = Recipe(
    "w6",
    (
        *_COMMON,
        Rule(_STAGES, bits=8, palette=True),
        Rule("image_*/*", bits=8, palette=True),
        Rule("*", bits=6, palette=True, group=16),
    ),
)
"""6-bit palettes, 8-bit ones where rounding hurts most."""

W4 = Recipe(
    "w4",
    (
        *_COMMON,
        Rule(_STAGES, bits=8, palette=True),
        Rule("image_*/*", bits=8, palette=True),
        Rule("denoiser/mlm_layer.*", bits=8, palette=True),
        Rule("denoiser/*", bits=4, palette=True, group=16),
        Rule("conditioner/*", bits=4, palette=True, group=16),
        Rule("*", bits=8, palette=True),
    ),
)
"""4-bit palettes where they are borne, 8-bit ones elsewhere: the smallest."""

COREML_RECIPES = {recipe.name: recipe for recipe in (W8, W8_LUT, W6, W4)}
