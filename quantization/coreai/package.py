"""A Core AI package as a program that can be changed: the one module of this room that knows Core AI's bindings.

The public ones build programs and save them; to find an operation in a saved program and put another in its place takes
those of MLIR below them, which Core AI ships and does not promise to keep.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from coreai import authoring  # noqa: F401  (before the dialect, which needs it)
from coreai._compiler import ir
from coreai._compiler.dialects import coreai
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreai.constants import Constants, pack_bits
from amused_edge.runtime.engines.coreai.program import Program, graph_name, save_program

SCALED, PALETTE, ROUNDED = "coreai.blockwise_shift_scale", "coreai.lut_to_dense", "coreai.dequantize"
"""Names of operations."""

_FUNCTION = "main"


class Package:
    """The program of a package; its constants' values stay in the file until they are asked for.

    Attributes
    ----------
    operations, values
        As of `Program` and `Constants`.
    """

    def __init__(self, folder: Path) -> None:
        self._program = Program(folder)
        self._module = self._program.module
        self.operations = self._program.operations
        self.values = Constants(folder).values

    def save(self, folder: Path) -> None:
        """Write the program as a package; of the same program the same bytes."""
        save_program(self._program.program, folder)

    @contextmanager
    def editing(self) -> Iterator[None]:
        """In this block operations can be made."""
        with self._module.context, ir.Location.unknown(self._module.context):
            yield

    def give_out(self, values: Mapping[str, Any]) -> None:
        """Make outputs of inner values of the graph that is run, under these names."""
        graph = next(op for op in self.operations() if op.name == "coreai.graph" and graph_name(op) == _FUNCTION)
        (block,) = graph.regions[0].blocks
        output = next(view.operation for view in block.operations if view.operation.name == "coreai.output")
        with self._module.context, graph.location:
            function = graph.attributes["function_type"].value
            results = [*function.results, *(value.type for value in values.values())]
            graph.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(function.inputs, results))
            names = [ir.DictAttr.get({"coreai.name": ir.StringAttr.get(name)}) for name in values]
            graph.attributes["res_attrs"] = ir.ArrayAttr.get([*graph.attributes["res_attrs"], *names])
            with ir.InsertionPoint(output):
                coreai.output([*output.operands, *values.values()])
        output.erase()


# --- Making operations: within `editing` and `before`.


def before(operation: Any) -> Any:
    """Return a context in which what is made stands before an operation, and where that was in its source."""
    return _before(operation)


@contextmanager
def _before(operation: Any) -> Iterator[None]:
    with ir.InsertionPoint(operation), operation.location:
        yield


def float_constant(values: NDArray[np.floating]) -> Any:
    """Make a constant of floats."""
    element = ir.F16Type.get() if values.dtype == np.float16 else ir.F32Type.get()
    return _constant(np.ascontiguousarray(values).view(np.uint8), values.shape, element)


def whole_constant(values: NDArray[np.integer[Any]], bits: int) -> Any:
    """Make a constant of whole numbers of 1, 2, 4, 6 or 8 bits, int8 or uint8.

    Core AI's own constructor gives each of them a byte, whatever their type says.
    """
    signed = values.dtype == np.int8
    element = ir.IntegerType.get_signed(bits) if signed else ir.IntegerType.get_unsigned(bits)
    packed = pack_bits(np.ascontiguousarray(values), bits) if bits < 8 else np.ascontiguousarray(values).view(np.uint8)
    return _constant(packed, values.shape, element)


def _constant(data: NDArray[np.uint8], shape: Sequence[int], element: Any) -> Any:
    kind = ir.RankedTensorType.get(list(shape), element)
    attribute = ir.DenseResourceElementsAttr.get_from_buffer(data.reshape(-1), "weight", kind)
    return coreai.ConstantOp(value=attribute).result


def _zeros(shape: Sequence[int], element: Any) -> Any:
    zero = ir.IntegerAttr.get(element, 0) if isinstance(element, ir.IntegerType) else ir.FloatAttr.get(element, 0.0)
    attribute = ir.DenseElementsAttr.get_splat(ir.RankedTensorType.get(list(shape), element), zero)
    return coreai.ConstantOp(value=attribute).result


def scaled(codes: Any, scales: Any, zero_points: Any | None, like: Any) -> Any:
    """Make `(codes - zero_points) * scales`, a scale for each block of codes.

    Parameters
    ----------
    like
        Value whose floats' type the result has.
    """
    shape = scales.type.shape
    if zero_points is None:
        zero_points = _zeros(shape, codes.type.element_type)
    return coreai.blockwise_shift_scale(codes, scales, zero_points, _zeros(shape, like.type.element_type))


def looked_up(indices: Any, palettes: Any) -> Any:
    """Make `palettes[block, indices]`: palettes (blocks of each axis..., values of a palette, 1)."""
    return coreai.lut_to_dense(indices, palettes, coreai.constant(np.array(0, np.int16)))


def rounded(value: Any, scale: float, zero_point: int) -> Any:
    """Make a value as it comes back from 8 bits, one scale for all of it."""
    element = ir.IntegerType.get_signed(8)
    kind = ir.RankedTensorType.get([], element)
    zero = coreai.ConstantOp(value=ir.DenseElementsAttr.get_splat(kind, ir.IntegerAttr.get(element, zero_point))).result
    floats = value.type.element_type
    step = coreai.ConstantOp(
        value=ir.DenseElementsAttr.get_splat(ir.RankedTensorType.get([], floats), ir.FloatAttr.get(floats, scale))
    ).result
    offset, axis = _zeros([], floats), coreai.constant(np.array(0, np.int32))
    codes = coreai.quantize(value, step, zero, offset, axis)
    return coreai.dequantize(codes, step, zero, offset, axis)


def replace(constant: Any, made: Any) -> None:
    """Put a value in a constant's place."""
    constant.results[0].replace_all_uses_with(made)
    constant.erase()
