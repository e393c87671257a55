"""Rewrites what cuts a tensor into many parts, or joins many, so that one operator meets few of them.

A shader reaches each part through a buffer of its own, and WebGPU promises eight to ten for inputs and outputs
together: with more, ONNX Runtime's kernels fail, or give NaN. Values are only moved, so no number changes. On CPUs ONNX
Runtime joins Slices that cover a tensor into one Split again.
"""

import numpy as np
import onnx_ir as ir

from amused_edge.runtime.checks import present

MOST_PARTS = 7
"""And one more for what is cut or joined."""


def limit_parts(model: ir.Model) -> None:
    """Turn Splits into Slices and Concats into trees of Concats, in place, where they have more than `MOST_PARTS`."""
    graph = model.graph
    for node in list(graph):
        if node.op_type == "Split" and len(node.outputs) > MOST_PARTS:
            nodes = _slices(graph, node)
            values = [piece.outputs[0] for piece in nodes]
        elif node.op_type == "Concat" and len(node.inputs) > MOST_PARTS:
            nodes = _tree(node)
            values = [nodes[-1].outputs[0]]
        else:
            continue
        ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, values)


def _slices(graph: ir.Graph, split: ir.Node) -> list[ir.Node]:
    """Return one Slice for each part of a Split."""
    axis = split.attributes.get_int("axis", 0)
    nodes: list[ir.Node] = []
    first = 0
    for part in split.outputs:
        last = first + int(present(part.shape, f"the shape of {part.name}")[axis])
        bounds = [_whole_number(graph, number) for number in (first, last, axis)]
        nodes.append(ir.node("Slice", [split.inputs[0], *bounds], name=f"{split.name}.{len(nodes)}"))
        first = last
    return nodes


def _tree(concat: ir.Node) -> list[ir.Node]:
    """Return Concats that join the same values, level by level; the last has the result."""
    values = list(concat.inputs)
    nodes: list[ir.Node] = []
    while len(values) > 1:
        groups = [values[first : first + MOST_PARTS] for first in range(0, len(values), MOST_PARTS)]
        values = []
        for group in groups:
            if len(group) > 1:
                nodes.append(ir.node("Concat", group, dict(concat.attributes), name=f"{concat.name}.{len(nodes)}"))
            values.append(nodes[-1].outputs[0] if len(group) > 1 else group[0])
    return nodes


def _whole_number(graph: ir.Graph, number: int) -> ir.Value:
    """Return the constant [number], which all that need it share."""
    name = f"whole_number.{number}"
    known = graph.initializers.get(name)
    if known is None:
        tensor = ir.tensor(np.array([number], np.int64), name=name)
        known = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape([1]))
        graph.register_initializer(known)
    return known
