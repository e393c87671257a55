"""Turns a float32 graph into one that computes in halves, with islands in float32.

Inputs and outputs of the graph stay float32. Islands are what halves cannot hold: sums of squares and square roots
(RMS norms, GRN), layer norms, sinusoids, and all that combines their results element by element until the next product.
"""

from collections.abc import Container

import numpy as np
import onnx_ir as ir

from amused_edge.quantization.rounding.uniform import to_half
from amused_edge.runtime.checks import present

_ISLANDS = frozenset(
    {
        *("Pow", "Sqrt", "Reciprocal", "ReduceMean", "ReduceSum", "ReduceL2", "Exp", "Log", "Sin", "Cos"),
        *("LayerNormalization", "SimplifiedLayerNormalization", "InstanceNormalization", "GroupNormalization"),
    }
)
_FOLLOWERS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Neg", "Sigmoid", "Tanh", "Gelu", "Erf", "Where", "Max", "Min", "Clip"),
        *("Reshape", "Transpose", "Concat", "Split", "Slice", "Squeeze", "Unsqueeze", "Expand", "Identity"),
        *("Gather", "GatherND"),
    }
)
"""What stays in float32 when it is given float32."""

_TO_INTEGERS = frozenset({"Shape", "Size", "ArgMax", "ArgMin"})


def convert_to_half(graph: ir.Graph, kept: Container[str]) -> None:
    """Convert a graph in place.

    Parameters
    ----------
    kept
        Names of weights that stay float32; their products are islands.

    Raises
    ------
    QuantizationError
        A tensor does not fit in halves.
    """
    _Conversion(graph, kept).run()


class _Conversion:
    """One pass in topological order; `_precision` says what each float value is computed in."""

    def __init__(self, graph: ir.Graph, kept: Container[str]) -> None:
        self._graph = graph
        self._kept = kept
        self._precision: dict[ir.Value, ir.DataType] = {}
        self._casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        self._constants: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        for value in self._graph.inputs:
            if value.dtype == ir.DataType.FLOAT:
                self._precision[value] = ir.DataType.FLOAT
        for node in list(self._graph):
            self._visit(node)
        for place, value in enumerate(list(self._graph.outputs)):
            if self._precision.get(value) == ir.DataType.FLOAT16:
                self._widen_output(place, value)
        self._name_constants()

    def _visit(self, node: ir.Node) -> None:
        if node.op_type == "Cast":
            if node.attributes["to"].as_int() == ir.DataType.FLOAT:
                self._set(node.outputs[0], ir.DataType.FLOAT)
            return
        floats = [v for v in node.inputs if v is not None and self._is_float(v)]
        if not floats:
            return
        precision = self._choose(node, floats)
        for place, value in enumerate(node.inputs):
            if value is not None and self._is_float(value):
                node.replace_input_with(place, self._as(value, precision))
        if node.op_type not in _TO_INTEGERS:
            for value in node.outputs:
                self._set(value, precision)

    def _choose(self, node: ir.Node, floats: list[ir.Value]) -> ir.DataType:
        """Islands, and what combines their results element by element, are float32; the rest is half."""
        wide = any(self._precision[v] == ir.DataType.FLOAT for v in floats if v.const_value is None)
        kept = any(v.name in self._kept for v in floats if v.const_value is not None)
        if node.op_type in _ISLANDS or kept or (node.op_type in _FOLLOWERS and wide):
            return ir.DataType.FLOAT
        return ir.DataType.FLOAT16

    def _is_float(self, value: ir.Value) -> bool:
        if value.const_value is not None:
            return bool(value.const_value.dtype == ir.DataType.FLOAT)
        return value in self._precision

    def _set(self, value: ir.Value, precision: ir.DataType) -> None:
        self._precision[value] = precision
        value.dtype = precision

    def _as(self, value: ir.Value, precision: ir.DataType) -> ir.Value:
        """Return a value in a precision: a constant as another constant, else through a Cast."""
        if value.const_value is not None:
            return value if precision == ir.DataType.FLOAT else self._half_constant(value)
        if self._precision[value] == precision:
            return value
        if (value, precision) not in self._casts:
            cast = ir.node("Cast", [value], {"to": precision})
            producer = value.producer()
            if producer is None:
                self._graph.insert_before(self._graph[0], cast)
            else:
                self._graph.insert_after(producer, cast)
            self._set(cast.outputs[0], precision)
            cast.outputs[0].shape = value.shape
            self._casts[value, precision] = cast.outputs[0]
        return self._casts[value, precision]

    def _half_constant(self, value: ir.Value) -> ir.Value:
        if value not in self._constants:
            name = present(value.name, "a constant's name")
            floats = present(value.const_value, f"the constant {name}").numpy()
            lowest = floats <= np.finfo(np.float32).min  # stands for minus infinity in an attention mask
            halves = to_half(name, np.where(lowest, np.float32(0), floats))
            halves = np.where(lowest, np.finfo(np.float16).min, halves)
            half = f"{name}.half"
            constant = ir.Value(name=half, const_value=ir.tensor(halves, name=half))
            constant.dtype, constant.shape = ir.DataType.FLOAT16, ir.Shape(halves.shape)
            self._graph.register_initializer(constant)
            self._constants[value] = constant
        return self._constants[value]

    def _name_constants(self) -> None:
        """Halves take their tensor's name where nothing needs the float32 one any more."""
        for value, half in self._constants.items():
            if not value.uses():
                name = present(value.name, "a constant's name")
                del self._graph.initializers[name]
                del self._graph.initializers[present(half.name, "a half's name")]
                half.name = name
                self._graph.register_initializer(half)

    def _widen_output(self, place: int, value: ir.Value) -> None:
        """Give the graph's output back its dtype, under its name."""
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
        self._graph.append(cast)
        wide = cast.outputs[0]
        wide.shape, wide.dtype = value.shape, ir.DataType.FLOAT
        name, value.name = value.name, f"{value.name}.half"
        wide.name = name
        self._graph.outputs[place] = wide
