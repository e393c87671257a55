"""Gives convolutions weights of 8 bits and, with static ranges, 8-bit inputs and outputs; see `rewrite`."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.onnx.edits import add_constant, drop_unused, stored_codes
from amused_edge.quantization.onnx.weights import Weight
from amused_edge.quantization.rounding.ranges import Range
from amused_edge.quantization.rounding.uniform import channels, rounding_error
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.checks import present

_MOVERS = ("Concat", "Resize")
"""Operators whose results are values of their inputs; a Resize only where it takes the nearest."""

_BIAS_STEPS = 2.0**30
"""Most steps that a bias may take: it is added to sums in 32 bits."""


def convolution(
    graph: ir.Graph, weight: Weight, values: NDArray[np.float32], ranges: Mapping[str, Range] | None
) -> TensorFormat:
    """Put DequantizeLinear before the weight and, with static ranges, quantize input, output and bias too."""
    input_scales = []
    smallest = np.zeros(len(values), np.float32)
    if ranges is not None:
        input_scales = [_quantize_input(graph, node, ranges) for node in weight.nodes]
        for node, scale in zip(weight.nodes, input_scales, strict=True):
            smallest = np.maximum(smallest, np.abs(_bias(node, len(values))) / (scale * _BIAS_STEPS))
    rounded = channels(values, axis=0, smallest=smallest)
    stored, zeros = stored_codes(rounded, signed=ranges is not None)
    codes = add_constant(graph, f"{weight.name}.codes", stored)
    scales = add_constant(graph, f"{weight.name}.scales", rounded.scales)
    zero_points = add_constant(graph, f"{weight.name}.zero_points", zeros)
    for index, node in enumerate(weight.nodes):
        kernel = ir.node("DequantizeLinear", [codes, scales, zero_points], {"axis": 0})
        graph.insert_before(node, kernel)
        if ranges is not None:
            _quantize_bias(graph, node, input_scales[index] * rounded.scales)
            _quantize_output(graph, node, ranges)
        node.replace_input_with(1, kernel.outputs[0])
    drop_unused(graph, weight.value)
    error = rounding_error(values, rounded.dequantize())
    return TensorFormat(8, None, "float32" if ranges is None else "static uint8", "Conv", error)


def _bias(node: ir.Node, channels_out: int) -> NDArray[np.float32]:
    """Return a convolution's bias (O,), zeros if it has none."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None or value.const_value is None:
        return np.zeros(channels_out, np.float32)
    bias: NDArray[np.float32] = value.const_value.numpy()
    return bias


def _quantize_bias(graph: ir.Graph, node: ir.Node, steps: NDArray[np.float32]) -> None:
    """Store a bias in whole steps of input times weight scale, as integer convolutions add it."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None or value.const_value is None:  # a bias that is computed stays as it is
        return
    prefix = f"{node.outputs[0].name}.bias"
    scales = steps.astype(np.float32)
    codes = np.rint(_bias(node, len(scales)).astype(np.float64) / scales).astype(np.int32)
    rounded = ir.node(
        "DequantizeLinear",
        [add_constant(graph, f"{prefix}.codes", codes), add_constant(graph, f"{prefix}.scales", scales)],
        {"axis": 0},
    )
    graph.insert_before(node, rounded)
    node.replace_input_with(2, rounded.outputs[0])
    drop_unused(graph, value)


def _quantize_output(graph: ir.Graph, node: ir.Node, ranges: Mapping[str, Range]) -> None:
    """Quantize a convolution's result for all who use it."""
    result = node.outputs[0]
    name = present(result.name, "a value's name")
    users = list(result.uses())
    after = _round_trip(graph, result, ranges[name], f"{name}.output")
    graph.insert_after(node, after)
    for user, place in users:
        user.replace_input_with(place, after[-1].outputs[0])


def _quantize_input(graph: ir.Graph, node: ir.Node, ranges: Mapping[str, Range]) -> float:
    """Quantize a convolution's input, unless it is the quantized output of another one; return its scale."""
    source = present(node.inputs[0], "a convolution's input")
    producer = source.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        scale = present(producer.inputs[1], "a scale")
        return float(present(scale.const_value, "the constant of a scale").numpy())
    span = ranges[present(source.name, "a value's name")]
    before = _round_trip(graph, source, span, f"{node.outputs[0].name}.input")
    graph.insert_before(node, before)
    node.replace_input_with(0, before[-1].outputs[0])
    _quantize_moved(graph, source, span, f"{node.outputs[0].name}.input")
    return span.scale


def _quantize_moved(graph: ir.Graph, value: ir.Value, span: Range, prefix: str) -> None:
    """Quantize what a value is put together from, on the value's own grid: the engine then moves bytes, not floats.

    A value that an operator only moves has the same code before and after.
    """
    mover = value.producer()
    if mover is None or mover.op_type not in _MOVERS or len(value.uses()) > 1 or value.is_graph_output():
        return
    mode = mover.attributes.get("mode")
    if mover.op_type == "Resize" and mode is not None and mode.as_string() != "nearest":
        return
    for place, part in enumerate(mover.inputs[: 1 if mover.op_type == "Resize" else None]):
        before = _round_trip(graph, present(part, "an input"), span, f"{prefix}.{place}")
        graph.insert_before(mover, before)
        mover.replace_input_with(place, before[-1].outputs[0])


def _round_trip(graph: ir.Graph, value: ir.Value, span: Range, prefix: str) -> list[ir.Node]:
    """Return QuantizeLinear and DequantizeLinear of a value."""
    scale = add_constant(graph, f"{prefix}.scale", np.float32(span.scale))
    zero_point = add_constant(graph, f"{prefix}.zero_point", np.uint8(span.zero_point))
    down = ir.node("QuantizeLinear", [value, scale, zero_point])
    return [down, ir.node("DequantizeLinear", [down.outputs[0], scale, zero_point])]
