"""What the recipes of Core ML and of Core AI share: both expand weights where they are used, and have palettes."""

from collections.abc import Sequence

from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.recipes.shared import KEPT, STAGES

COMMON = (*KEPT, Rule("image_decoder/code_table"))
"""Stay as they are."""

W8 = Recipe("w8", (*COMMON, Rule("*", bits=8)))
"""8-bit weights, one scale per output channel."""

W6 = Recipe(
    "w6",
    (
        *COMMON,
        Rule(STAGES, bits=8),
        Rule("image_*/*", bits=8),
        Rule("*", bits=6, palette=True, group=16),
    ),
)
"""6-bit palettes; 8 bits with scales where rounding hurts most, and in the VQ-GAN."""


def w4_rules(stages: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return 4-bit palettes with error feedback in the denoiser's layers and the conditioner, 8 bits elsewhere, with
    rules of the target's own for the conv stages.
    """
    return (
        *COMMON,
        *stages,
        Rule("denoiser/mlm_layer.*", bits=8),
        Rule("denoiser/*", operator="matmul", bits=4, palette=True, group=16, rounding="feedback"),
        Rule("conditioner/*", operator="matmul", bits=4, palette=True, group=16, rounding="feedback"),
        Rule("*", bits=8),
    )
