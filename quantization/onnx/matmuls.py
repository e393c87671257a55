"""Gives MatMuls weights of 8 bits or fewer, and the operators that multiply with them; see `rewrite`."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.onnx.edits import add_constant, drop_unused, replace_node, shared_constant, stored_codes
from amused_edge.quantization.onnx.weights import Weight
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.uniform import blocks, channels, feedback_blocks, rounding_error
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.checks import present

_CONTRIB = "com.microsoft"
_FLOAT_LEVEL, _INT8_LEVEL = 1, 4


def dynamic_matmul(graph: ir.Graph, weight: Weight, values: NDArray[np.float32], *, rowwise: bool) -> TensorFormat:
    """MatMul -> DynamicQuantizeMatMul."""
    rounded = channels(values, axis=1)
    codes, zero_points = stored_codes(rounded, signed=True)
    tensors = [
        add_constant(graph, f"{weight.name}.codes", codes),
        add_constant(graph, f"{weight.name}.scales", rounded.scales),
        add_constant(graph, f"{weight.name}.zero_points", zero_points),
    ]
    for node in weight.nodes:
        if rowwise:
            replace_node(graph, node, _row_scaled(graph, node, tensors))
        else:
            replace_node(graph, node, [ir.node("DynamicQuantizeMatMul", [node.inputs[0], *tensors], domain=_CONTRIB)])
    drop_unused(graph, weight.value)
    error = rounding_error(values, rounded.dequantize())
    activations = "dynamic uint8 by row" if rowwise else "dynamic uint8"
    return TensorFormat(8, None, activations, "DynamicQuantizeMatMul", error)


def _row_scaled(graph: ir.Graph, node: ir.Node, tensors: list[ir.Value]) -> list[ir.Node]:
    """`x W` as `(x / r) W * r`, r the largest |value| of each row: one scale for all is then one for each."""
    last = shared_constant(graph, "rowwise.axis", np.array([-1]))
    smallest = shared_constant(graph, "rowwise.smallest", np.array(np.finfo(np.float32).tiny, np.float32))
    magnitude = ir.node("Abs", [node.inputs[0]])
    largest = ir.node("ReduceMax", [magnitude.outputs[0], last], {"keepdims": 1})
    divisor = ir.node("Max", [largest.outputs[0], smallest])
    divided = ir.node("Div", [node.inputs[0], divisor.outputs[0]])
    product = ir.node("DynamicQuantizeMatMul", [divided.outputs[0], *tensors], domain=_CONTRIB)
    scaled = ir.node("Mul", [product.outputs[0], divisor.outputs[0]])
    return [magnitude, largest, divisor, divided, product, scaled]


def block_matmul(
    graph: ir.Graph, weight: Weight, values: NDArray[np.float32], rule: Rule, hessian: NDArray[np.floating] | None
) -> TensorFormat:
    """MatMul -> MatMulNBits, at the accuracy level that the rule's activations ask for."""
    block = present(rule.block, "the rule's block")
    if rule.rounding == "feedback" and hessian is not None:
        rounded = feedback_blocks(values, hessian, rule.bits, block, symmetric=rule.symmetric)
    else:
        rounded = blocks(values, rule.bits, block, symmetric=rule.symmetric)
    integer = rule.activations == "blockwise"
    tensors = [
        add_constant(graph, f"{weight.name}.codes", _packed(rounded.codes, rounded.bits)),
        add_constant(graph, f"{weight.name}.scales", rounded.scales.reshape(-1)),
    ]
    if not rule.symmetric:
        zero_points = _packed(rounded.zero_points, rounded.bits).reshape(-1)
        tensors.append(add_constant(graph, f"{weight.name}.zero_points", zero_points))
    attributes = {
        "K": rounded.inputs,
        "N": len(rounded.codes),
        "bits": rounded.bits,
        "block_size": rounded.size,
        "accuracy_level": _INT8_LEVEL if integer else _FLOAT_LEVEL,
    }
    for node in weight.nodes:
        replace_node(graph, node, [ir.node("MatMulNBits", [node.inputs[0], *tensors], attributes, domain=_CONTRIB)])
    drop_unused(graph, weight.value)
    activations = "dynamic int8" if integer else "float32"
    error = rounding_error(values, rounded.dequantize())
    return TensorFormat(rounded.bits, rounded.size, activations, "MatMulNBits", error)


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes along the last axis, the first in the low bits, padded to whole bytes."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    packed: NDArray[np.uint8] = (codes[..., 0::2] | (codes[..., 1::2] << 4)).astype(np.uint8)
    return packed
