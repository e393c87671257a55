"""Writes formulae down as nodes of an ONNX graph: operators by name, constants as NumPy values."""

from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Operand: TypeAlias = ir.Value | NDArray[Any] | np.generic


class Formulae:
    """The nodes so far; calling it adds one, and gives its result.

    Attributes
    ----------
    nodes
        In the order in which they are computed.
    """

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    @property
    def constants(self) -> list[ir.Value]:
        """Those that operands were, each once."""
        return list(self._constants.values())

    def __call__(self, operator: str, *operands: Operand, name: str | None = None, **attributes: Any) -> ir.Value:
        """Add a node and return its result, under a name if it has one."""
        return self.several(operator, *operands, names=(name,), **attributes)[0]

    def several(
        self, operator: str, *operands: Operand, names: tuple[str | None, ...], **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """Add a node and return its results."""
        node = ir.node(operator, [self._value(x) for x in operands], attributes, num_outputs=len(names))
        for value, name in zip(node.outputs, names, strict=True):
            value.name = name
        self.nodes.append(node)
        return tuple(node.outputs)

    def cast(self, value: Operand, dtype: ir.DataType, name: str | None = None) -> ir.Value:
        """Add a Cast."""
        return self("Cast", value, name=name, to=dtype)

    def choose(self, number: Operand, *choices: Operand, name: str | None = None) -> ir.Value:
        """Return the choice with a number, all of one shape; the engine refuses a number that none has."""
        stacked = self("Concat", *(self("Unsqueeze", choice, np.array([0])) for choice in choices), axis=0)
        return self("Gather", stacked, number, name=name, axis=0)

    def _value(self, operand: Operand) -> ir.Value:
        if isinstance(operand, ir.Value):
            return operand
        array: NDArray[Any] = np.asarray(operand)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"constant.{len(self._constants)}"
            tensor = ir.tensor(array, name=name)
            self._constants[key] = ir.Value(
                name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape)
            )
        return self._constants[key]
