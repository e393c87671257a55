"""A torch module as the decomposed program that Core ML's converter reads.

Half precision is the module's own, see `export.precision`; the converter adds and removes nothing of that, but for
layer norms.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from amused_edge.export.graphs import Inputs
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.export.precision import HALF, half_input, to_half

aten = torch.ops.aten


def trace(module: nn.Module, example: Inputs, *, half: bool) -> torch.export.ExportedProgram:
    """Trace a module for Core ML: batch 1, whole numbers as int32, pictures as planes.

    Parameters
    ----------
    module
        In float32; it stays as it is.
    example
        Inputs by name; the first row is taken.
    half
        Store and compute in float16, where the module does not say otherwise.
    """
    inputs = {name: _input(name, value[:1], half) for name, value in example.items()}
    traced = _with_planes(to_half(module) if half else module)
    with torch.no_grad():
        program = torch.export.export(traced.eval(), (), kwargs=inputs)
        decomposed: torch.export.ExportedProgram = program.run_decompositions(_DECOMPOSITIONS)
        return decomposed


def _input(name: str, value: torch.Tensor, half: bool) -> torch.Tensor:
    if value.dtype == torch.uint8:
        return value.permute(0, 3, 1, 2).float().contiguous()
    if not value.is_floating_point():
        return value.to(torch.int32)
    return half_input(name, value) if half else value


def _with_planes(module: nn.Module) -> nn.Module:
    if isinstance(module, ImageDecoder):
        return DecoderToPlanes(module)
    return EncoderOfPlanes(module) if isinstance(module, ImageEncoder) else module


class DecoderToPlanes(nn.Module):
    """tokens (1, h, w) -> image (1, 3, H, W), whole numbers from 0 to 255."""

    def __init__(self, decoder: ImageDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """See above."""
        return self.decoder.planes(tokens)


class EncoderOfPlanes(nn.Module):
    """image (1, 3, H, W) from 0 to 255 -> tokens (1, h, w) int32."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See above."""
        return self.encoder.nearest_to_planes(image).to(torch.int32)


def _typed(operator: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """Give a Python number the type of the halves it meets: the converter would take it, and them, for float32."""

    def decompose(x: Any, y: Any, **options: Any) -> Any:
        if isinstance(x, torch.Tensor) and x.dtype == HALF and not isinstance(y, torch.Tensor):
            return operator(x, torch.full((1,), y, dtype=HALF), **options)
        return NotImplemented

    return decompose


def _layer_norm(
    x: torch.Tensor,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """In float32, because the converter takes no halves there; `write` makes the operation a half one again."""
    if x.dtype != HALF:
        return NotImplemented
    weight, bias = (None if part is None else part.float() for part in (weight, bias))
    return torch.layer_norm(x.float(), list(shape), weight, bias, eps).to(HALF)


def _where(condition: torch.Tensor, x: torch.Tensor, y: float) -> torch.Tensor:
    return torch.where(condition, x, torch.full((1,), y, dtype=x.dtype))


_DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    **{operator: _typed(operator) for operator in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)},
    aten.layer_norm.default: _layer_norm,
    aten.where.ScalarOther: _where,
    aten.alias.default: torch.clone,
}
"""Operators that the converter does not know, or takes for something else."""
