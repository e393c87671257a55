"""Finds the weights of a Core AI package: what a recipe may change, and what it became."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.coreai.package import PALETTE, ROUNDED, SCALED, Package
from amused_edge.quantization.recipes.rules import RANKS, Operator
from amused_edge.runtime.engines.coreai.constants import CONSTANT, element_bits, place_name
from amused_edge.runtime.engines.coreai.program import FLOATS

_PLACES: dict[tuple[str, int], Operator] = {
    ("coreai.decomposable.broadcasting_batch_matmul", 1): "matmul",
    ("coreai.batch_matmul", 1): "matmul",
    ("coreai.conv2d", 1): "conv",
    ("coreai.gather_nd", 0): "table",
}
"""(operation, operand) that a weight is, and how recipes call it."""

CHANNELS: dict[Operator, int] = {"matmul": 1, "conv": 0, "table": 0}
"""The axis along which each slice has a scale of its own: output channels, rows of a table."""


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
        return element_bits(self.source.results[0].type.element_type)

    @property
    def bits(self) -> int:
        """Bits of each stored value."""
        return element_bits(self._stored.type.element_type)

    @property
    def codes(self) -> str:
        """How it is stored: "palette" or "scaled"; floats as they are count as the latter."""
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
        return "static int8" if factors == {ROUNDED} else f"float{self.width}"

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


def find_weights(package: Package, derived: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, PackageWeight]:
    """Return the weights of a package by name.

    Parameters
    ----------
    derived
        The manifest's `derived_tensors`, if patterns are to be matched.

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
        found[name] = PackageWeight(package, name, (name, *(derived or {}).get(name, ())), operator, source, products)
    return found


def _is_weight(source: Any) -> bool:
    """Whether an operation gives a constant of floats, expanded or as it is."""
    if source.name not in (CONSTANT, SCALED, PALETTE):
        return False
    kind = source.results[0].type
    return str(kind.element_type) in FLOATS and (source.name == CONSTANT or _giver(source.operands[0]) == CONSTANT)


def _giver(value: Any) -> str:
    """Return the name of the operation that gives a value; "" for an input of the graph."""
    return str(getattr(value.owner, "name", ""))


def _spread(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Repeat what stands for a block of each axis over the block."""
    for axis, size in enumerate(shape):
        if values.shape[axis] not in (1, size):
            values = values.repeat(size // values.shape[axis], axis)
    return np.broadcast_to(values, shape)
