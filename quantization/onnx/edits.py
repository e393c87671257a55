"""Edits of an ONNX graph that its rewrites have in common."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.rounding.uniform import ZERO_POINT, Channels


def add_constant(graph: ir.Graph, name: str, values: NDArray[np.generic] | np.generic) -> ir.Value:
    """Add an initializer."""
    tensor = ir.tensor(np.asarray(values), name=name)
    value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape))
    graph.register_initializer(value)
    return value


def shared_constant(graph: ir.Graph, name: str, values: NDArray[np.generic]) -> ir.Value:
    """Return a constant that all who ask for it by its name share."""
    known = graph.initializers.get(name)
    return add_constant(graph, name, values) if known is None else known


def replace_node(graph: ir.Graph, node: ir.Node, nodes: list[ir.Node]) -> None:
    """Put nodes in place of one; the last makes its result."""
    nodes[-1].name = node.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, nodes[-1].outputs)


def drop_unused(graph: ir.Graph, value: ir.Value) -> None:
    """Remove an initializer that nothing uses any more."""
    if value.name is not None and not value.uses():
        graph.initializers.pop(value.name, None)


def stored_codes(rounded: Channels, *, signed: bool) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the codes of a weight and its zero points (channels,)."""
    if signed:
        return (rounded.codes ^ ZERO_POINT).view(np.int8), np.zeros(rounded.scales.shape, np.int8)
    return rounded.codes, np.full(rounded.scales.shape, ZERO_POINT, np.uint8)
