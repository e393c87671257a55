"""Finds the weights of a Core AI package, whatever they are stored in: what a recipe may change, and what became of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.coreai.package import CONSTANT, PALETTE, SCALED, Package, place_name, type_bits
from amused_edge.quantization.recipes.rules import RANKS, Operator

_PLACES: dict[tuple[str, int], Operator] = {
    ("coreai.decomposable.broadcasting_batch_matmul", 1): "matmul",
    ("coreai.batch_matmul", 1): "matmul",
    ("coreai.conv2d", 1): "conv",
    ("coreai.gather_nd", 0): "table",
}
"""(operation, operand) that a weight is, and how recipes call it."""

CHANNELS: dict[Operator, int] = {"matmul": 1, "conv": 0, "table": 0}
"""The axis along which each slice has a scale of its own: output channels, rows of a table."""

_FLOAT_BITS = (16, 32)


@dataclass(frozen=True)
class PackageWeight:
    """A weight of a package.

    Attributes
    ----------
    name
        As export wrote it: the checkpoint's where the tensor stands there.
    names
        What a recipe's pattern may match: that name, and the checkpoint tensors it was folded from.
    operator
        What it is used by: all of its uses are alike.
    source
        The operation that gives it: a constant, or what expands one.
    products
        The operations that use it.
    """

    package: Package
    name: str
    names: tuple[str, ...]
    operator: Operator
    source: Any
    products: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(in, out) of a matmul, (O, I, h, w) of a convolution, (rows, width) of a table."""
        return tuple(self.source.results[0].type.shape)

    @property
    def outputs(self) -> int:
        """How many slices have a scale of their own."""
        return self.shape[CHANNELS[self.operator]]

    @property
    def kind(self) -> str:
        """The operation that uses it, without its dialect."""
        return str(self.products[0].name).rpartition(".")[2]

    @property
    def width(self) -> int:
        """Bits of the floats that it is computed with."""
        return type_bits(self.source.results[0])

    @property
    def bits(self) -> int:
        """Bits of each stored value."""
        return type_bits(self._stored)

    @property
    def codes(self) -> str:
        """ "palette", or "scaled", which floats as they are count as."""
        return "palette" if self.source.name == PALETTE else "scaled"

    @property
    def block(self) -> int | None:
        """How many inputs share a scale, or output channels a palette; None: all."""
        if self.source.name not in (SCALED, PALETTE):
            return None
        axis = CHANNELS[self.operator] if self.source.name == PALETTE else 1 - CHANNELS[self.operator]
        count = int(self.source.operands[1].type.shape[axis])
        return None if count == 1 else self.shape[axis] // count

    @property
    def activations(self) -> str:
        """What the other factor of its products is, as the manifest says it."""
        factors = {_giver(product.operands[0]) for product in self.products if self.operator != "table"}
        return "static int8" if factors == {"coreai.dequantize"} else f"float{self.width}"

    @cached_property
    def value(self) -> NDArray[np.floating]:
        """The values that it is computed with, in the type of `width`."""
        parts = [self.package.values(operand.owner) for operand in self._operands]
        if self.source.name == SCALED:
            codes, scales, zeros, _ = (_spread(part, self.shape) for part in parts)
            return np.asarray((codes.astype(np.float32) - zeros) * scales.astype(np.float32)).astype(parts[1].dtype)
        if self.source.name == PALETTE:
            indices, palettes = parts[0], parts[1][..., 0]
            spread = _spread(palettes, (*self.shape, palettes.shape[-1]))
            return np.take_along_axis(spread, indices[..., None].astype(np.int64), -1)[..., 0]
        return np.asarray(parts[0], np.float16 if self.width == 16 else np.float32)

    @property
    def _stored(self) -> Any:
        return self.source.results[0] if self.source.name == CONSTANT else self.source.operands[0]

    @property
    def _operands(self) -> list[Any]:
        if self.source.name == CONSTANT:
            return [self.source.results[0]]
        return list(self.source.operands)[: 2 if self.source.name == PALETTE else None]


def find_weights(package: Package, derived: dict[str, tuple[str, ...]]) -> dict[str, PackageWeight]:
    """Return the weights of a package by name.

    Parameters
    ----------
    derived
        The manifest's `derived_tensors`.

    Notes
    -----
    A tensor that is used in several ways, or in another way than as a factor, is none.
    """
    found = {}
    for source in package.operations():
        if not _is_weight(source):
            continue
        uses = [(use.owner, use.operand_number) for use in source.results[0].uses]
        operators = {_PLACES.get((product.name, place)) for product, place in uses}
        operator = operators.pop() if len(operators) == 1 else None
        name = place_name(source)
        if operator is None or name is None or len(source.results[0].type.shape) != RANKS[operator]:
            continue
        products = tuple(product for product, _ in uses)
        found[name] = PackageWeight(package, name, (name, *derived.get(name, ())), operator, source, products)
    return found


def _is_weight(source: Any) -> bool:
    """Whether an operation gives a constant of floats, expanded or as it is."""
    if source.name not in (CONSTANT, SCALED, PALETTE):
        return False
    kind = source.results[0].type
    floats = str(kind.element_type) in {f"f{bits}" for bits in _FLOAT_BITS}
    return floats and (source.name == CONSTANT or _giver(source.operands[0]) == CONSTANT)


def _giver(value: Any) -> str:
    """Return the name of the operation that gives a value; "" for an input of the graph."""
    return str(getattr(value.owner, "name", ""))


def _spread(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Repeat what stands for a block of each axis over the block."""
    for axis, size in enumerate(shape):
        if values.shape[axis] not in (1, size):
            values = values.repeat(size // values.shape[axis], axis)
    return np.broadcast_to(values, shape)
