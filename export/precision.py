"""Which parts of the modules stay float32 where the rest is stored and computed in halves; targets share the rule.

Half precision is the module's own: weights and inputs are halves, and where the module computes in float32 (GRN, RMS
variance, sinusoids) so does what is traced from it.
"""

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from amused_edge.export.errors import ExportError
from amused_edge.export.modules.tensors import all_finite
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.runtime.errors import quoted

Precision = Literal["float16", "float32"]
PRECISIONS: tuple[Precision, ...] = ("float16", "float32")
HALF = torch.float16

FLOAT32_INPUTS = ("micro_conditions",)
"""Up to the picture's side, times a frequency: the angle needs more bits than a half has."""

FLOAT32_OUTPUTS = ("logits",)
"""What the sampler reads, in its own type. What goes from graph to graph stays as it is computed."""

NEVER_HALF = (ImageDecoder, ImageEncoder)
"""The VQ-GAN gives NaN in halves."""


@dataclass(frozen=True)
class PrecisionOptions:
    """The choice of precision, for targets whose engines compute in halves.

    Attributes
    ----------
    precision
        "float16" stores and computes in halves, except where the modules need float32: the variance of RMS norms, GRN,
        the sinusoids of micro-conditions, the softmax of the text encoder, the whole VQ-GAN. "float32": everywhere.

    Raises
    ------
    ExportError
        There is no such precision.
    """

    precision: Precision = "float16"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ExportError(f"precision is {quoted(self.precision)}; choose {', '.join(PRECISIONS)}")

    def stored(self, module: nn.Module) -> Precision:
        """Return what a module's weights are stored in."""
        return "float32" if isinstance(module, NEVER_HALF) else self.precision


def to_half(module: nn.Module) -> nn.Module:
    """Return a copy whose parameters are halves; buffers stay, and are cast where they are used."""
    module = copy.deepcopy(module)
    for name, parameter in module.named_parameters():
        halves = parameter.data.to(HALF)
        if not all_finite(halves):  # a row that no check looks up would stay infinite in the package
            raise ExportError(
                f"{name} has values beyond the range of halves (the largest is {parameter.data.abs().max():g}, theirs "
                f"{torch.finfo(HALF).max:g}); choose --precision float32"
            )
        parameter.data = halves
    return module


def half_input(name: str, value: torch.Tensor) -> torch.Tensor:
    """Return an input as a module in halves takes it."""
    return value.to(HALF) if value.is_floating_point() and name not in FLOAT32_INPUTS else value
