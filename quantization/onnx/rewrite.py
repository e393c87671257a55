"""Gives weights of an ONNX graph fewer bits and the operators that compute with them.

What the engine makes of each form (ONNX Runtime 1.32; `benchmarks.execution.optimised` reads it from optimised graphs):

- MatMulNBits computes in float32 at accuracy level 1 and quantizes activations per row and block at level 4. The level
  is always written: DequantizeLinear before a MatMul, which would look simpler, is fused into level 4 unasked.
- DynamicQuantizeMatMul takes one activation scale per tensor. Rows that are divided by their largest value before it,
  and multiplied by it after, have one each; a Div and a Mul cost a tenth of the product.
- Codes that meet 8-bit activations are signed. VNNI takes 0.4 times as long with them as with unsigned ones and gives
  the same sums. On x86 CPUs without it the engine saturates the sums of unsigned x signed products silently, unless a
  session asks it not to, as ours do there (`runtime.engines.onnx.signed_products`).
- DequantizeLinear before a Conv stays and runs at each call; with QuantizeLinear and DequantizeLinear around, the
  engine fuses a QLinearConv. Zero points are always written: without them a session option of the engine that turns
  signed weights into unsigned ones fails.
- A Cast of half weights is folded into float32 weights when the graph is loaded.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.onnx.convolutions import convolution
from amused_edge.quantization.onnx.edits import add_constant, drop_unused, replace_node, stored_codes
from amused_edge.quantization.onnx.matmuls import block_matmul, dynamic_matmul
from amused_edge.quantization.onnx.weights import Weight
from amused_edge.quantization.recipes.rules import PER_CHANNEL, Rule
from amused_edge.quantization.rounding.ranges import Range
from amused_edge.quantization.rounding.uniform import channels, rounding_error, to_half
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.checks import present


def rewrite_weight(
    graph: ir.Graph,
    weight: Weight,
    rule: Rule,
    *,
    hessian: NDArray[np.floating] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> TensorFormat:
    """Change one weight and its uses as a rule says.

    Parameters
    ----------
    hessian
        X^T X of a matmul's calibration inputs, for rounding "feedback".
    ranges
        Value name -> range of a convolution's input and output, for "static" activations.

    Returns
    -------
    What the weight became.
    """
    if rule.bits == 32:
        return TensorFormat(32, None, "float32", weight.nodes[0].op_type, 0.0)
    values = present(weight.value.const_value, f"the weight {weight.name}").numpy()
    if rule.bits == 16:
        return _cast_from_half(graph, weight, values)
    if weight.operator == "table":
        return _rows(graph, weight, values)
    if weight.operator == "conv":
        return convolution(graph, weight, values, ranges if rule.activations == "static" else None)
    if rule.activations in PER_CHANNEL:
        return dynamic_matmul(graph, weight, values, rowwise=rule.activations == "rowwise")
    return block_matmul(graph, weight, values, rule, hessian)


def _rows(graph: ir.Graph, weight: Weight, values: NDArray[np.float32]) -> TensorFormat:
    """Gather -> Gather codes and scales, Cast, Mul: only the rows that are looked up become floats."""
    rounded = channels(values, axis=0)
    codes = add_constant(graph, f"{weight.name}.codes", stored_codes(rounded, signed=True)[0])
    scales = add_constant(graph, f"{weight.name}.scales", rounded.scales[:, None])
    for node in weight.nodes:
        chosen = ir.node("Gather", [codes, node.inputs[1]])
        scale = ir.node("Gather", [scales, node.inputs[1]])
        cast = ir.node("Cast", [chosen.outputs[0]], {"to": ir.DataType.FLOAT})
        product = ir.node("Mul", [cast.outputs[0], scale.outputs[0]])
        replace_node(graph, node, [chosen, scale, cast, product])
    drop_unused(graph, weight.value)
    return TensorFormat(8, None, "float32", "Gather", rounding_error(values, rounded.dequantize()))


def _cast_from_half(graph: ir.Graph, weight: Weight, values: NDArray[np.float32]) -> TensorFormat:
    """Store halves, and compute in float32: rows of a table are cast after they were looked up."""
    stored = to_half(weight.name, values)
    del graph.initializers[weight.name]
    halves = add_constant(graph, weight.name, stored)
    for node in weight.nodes:
        if weight.operator == "table":
            chosen = ir.node("Gather", [halves, node.inputs[1]])
            cast = ir.node("Cast", [chosen.outputs[0]], {"to": ir.DataType.FLOAT})
            replace_node(graph, node, [chosen, cast])
        else:
            cast = ir.node("Cast", [halves], {"to": ir.DataType.FLOAT})
            graph.insert_before(node, cast)
            node.replace_input_with(1, cast.outputs[0])
    return TensorFormat(16, None, "float32", weight.nodes[0].op_type, rounding_error(values, stored))
