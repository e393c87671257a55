"""A torch module as the program that Core ML's converter reads, traced once.

Half precision is the module's own, see `export.precision`; the converter adds and removes nothing of that, but for
layer norms.
"""

from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from amused_edge.export.graph_edits import (
    SETTLED_TYPES,
    Put,
    Rule,
    dtype_of,
    first_argument,
    gives_views,
    is_composite,
    is_functional,
    replace_nodes,
    rewrapped,
)
from amused_edge.export.graphs import Inputs
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.export.precision import HALF, half_input, to_half

aten = torch.ops.aten


def trace(module: nn.Module, example: Inputs, *, half: bool) -> ExportedProgram:
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
        if is_functional(program):
            replace_nodes(program, _RULES)
        if not is_functional(program) or any(_is_composite_view(node.target) for node in program.graph.nodes):
            program = program.run_decompositions({})
            replace_nodes(program, _RULES)
    return rewrapped(program, _Aten)


def _is_composite_view(operator: Any) -> bool:
    """Say whether an operator stands for several others that return views of their inputs. The converter knows only
    one of these; torch takes them all apart.
    """
    return operator is not aten.reshape.default and is_composite(operator) and gives_views(operator)


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


def _typed(put: Put, node: fx.Node, x: Any, y: Any, **options: Any) -> fx.Node | None:
    """Give a Python number the type of the halves it meets: the converter would take it, and them, for float32."""
    if not _is_half(x) or isinstance(y, fx.Node):
        return None
    return put(node.target, x, put(aten.full.default, [1], y, dtype=HALF), **options)


def _layer_norm(
    put: Put,
    _: fx.Node,
    x: fx.Node,
    shape: list[int],
    weight: fx.Node | None = None,
    bias: fx.Node | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> fx.Node | None:
    """In float32, because the converter takes no halves there; `write` makes the operation a half one again."""
    if not _is_half(x):
        return None
    wide = [each and put(aten._to_copy.default, each, dtype=torch.float32) for each in (x, weight, bias)]
    norm = put(aten.layer_norm.default, wide[0], shape, wide[1], wide[2], eps)
    return put(aten._to_copy.default, norm, dtype=HALF)


def _where(put: Put, _: fx.Node, condition: fx.Node, x: fx.Node, y: float) -> fx.Node:
    return put(aten.where.self, condition, x, put(aten.full.default, [1], y, dtype=dtype_of(x)))


def _clone(put: Put, _: fx.Node, x: fx.Node) -> fx.Node:
    return put(aten.clone.default, x)


def _reshape(put: Put, node: fx.Node, x: fx.Node, *_: int) -> fx.Node:
    return put(aten.reshape.default, x, list(node.meta["val"].shape))


def _split(put: Put, _: fx.Node, x: fx.Node, parts: int, axis: int = 0) -> fx.Node:
    return put(aten.split.Tensor, x, -(-x.meta["val"].shape[axis] // parts), axis)


def _is_half(value: Any) -> bool:
    return isinstance(value, fx.Node) and dtype_of(value) == HALF


_RULES: dict[Any, Rule] = {
    **SETTLED_TYPES,
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), _typed),
    **dict.fromkeys((aten.contiguous.default, aten.dropout.default), first_argument),  # dropout is of training
    aten.layer_norm.default: _layer_norm,
    aten.where.ScalarOther: _where,
    aten.alias.default: _clone,
    aten.chunk.default: _split,
    aten.flatten.using_ints: _reshape,
}
"""Operators that the converter does not know, or takes for something else."""


class _Aten(ExportedProgram):
    """What is left of operators that stand for others is what the converter knows, which it wants to be told."""

    @property  # type: ignore[misc]
    def dialect(self) -> str:
        """The set of operators."""
        return "ATEN"
