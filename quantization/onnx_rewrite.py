"""Gives weights of an ONNX graph fewer bits and the operators that compute with them.

What the engine makes of each form (ONNX Runtime 1.32; `benchmarks.precision_audit` reads it from optimised graphs):

- MatMulNBits computes in float32 at accuracy level 1 and quantizes activations per row and block at level 4. The level
  is always written: DequantizeLinear before a MatMul, which would look simpler, is fused into level 4 unasked.
- DynamicQuantizeMatMul takes one activation scale per tensor. Rows that are divided by their largest value before it,
  and multiplied by it after, have one each; a Div and a Mul cost a tenth of the product.
- Signed weights take VNNI 0.4 times as long as unsigned ones and give the same sums. On x86 CPUs without it the engine
  saturates the sums of unsigned x signed products silently, unless a session asks it not to, as ours do there;
  unsigned x unsigned is exact everywhere without being asked for.
- DequantizeLinear before a Conv stays and runs at each call; with QuantizeLinear and DequantizeLinear around, the
  engine fuses a QLinearConv. Zero points are always written: without them a session option of the engine that turns
  signed weights into unsigned ones fails.
- A Cast of half weights is folded into float32 weights when the graph is loaded.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx_weights import Weight
from amused_edge.quantization.ranges import Range
from amused_edge.quantization.recipes import PER_CHANNEL, Rule
from amused_edge.quantization.rounding import (
    ZERO_POINT,
    Blocks,
    Channels,
    blocks,
    channels,
    feedback_blocks,
    rounding_error,
)
from amused_edge.runtime.graph_entry import TensorFormat

CONTRIB = "com.microsoft"
_FLOAT_LEVEL, _INT8_LEVEL = 1, 4
_MOVERS = ("Concat", "Resize")
"""Operators whose results are values of their inputs; a Resize only where it takes the nearest."""

_BIAS_STEPS = 2.0**30
"""Most steps that a bias may take: it is added to sums in 32 bits."""


def rewrite_weight(
    graph: ir.Graph,
    weight: Weight,
    rule: Rule,
    *,
    signed: bool = False,
    hessian: NDArray[np.floating] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> TensorFormat:
    """Change one weight and its uses as a rule says.

    Parameters
    ----------
    signed
        Store codes that meet 8-bit activations as int8, around 0, and not as uint8, around 128.
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
    assert weight.value.const_value is not None
    values = weight.value.const_value.numpy()
    if rule.bits == 16:
        return _cast_from_half(graph, weight, values)
    if weight.operator == "table":
        return _rows(graph, weight, values)
    if weight.operator == "conv":
        return _convolution(graph, weight, values, ranges if rule.activations == "static" else None, signed)
    if rule.activations in PER_CHANNEL:
        return _dynamic_matmul(graph, weight, values, signed, rowwise=rule.activations == "rowwise")
    assert rule.block is not None
    if rule.rounding == "feedback" and hessian is not None:
        rounded = feedback_blocks(values, hessian, rule.bits, rule.block, symmetric=rule.symmetric)
    else:
        rounded = blocks(values, rule.bits, rule.block, symmetric=rule.symmetric)
    error = rounding_error(values, rounded.dequantize())
    return _block_matmul(graph, weight, rounded, rule, error)


def _dynamic_matmul(
    graph: ir.Graph, weight: Weight, values: NDArray[np.float32], signed: bool, *, rowwise: bool
) -> TensorFormat:
    """MatMul -> DynamicQuantizeMatMul."""
    rounded = channels(values, axis=1)
    codes, zero_points = _codes(rounded, signed)
    tensors = [
        _add(graph, f"{weight.name}.codes", codes),
        _add(graph, f"{weight.name}.scales", rounded.scales),
        _add(graph, f"{weight.name}.zero_points", zero_points),
    ]
    for node in weight.nodes:
        if rowwise:
            _replace(graph, node, _row_scaled(graph, node, tensors))
        else:
            _replace(graph, node, [ir.node("DynamicQuantizeMatMul", [node.inputs[0], *tensors], domain=CONTRIB)])
    _drop(graph, weight.value)
    error = rounding_error(values, rounded.dequantize())
    activations = "dynamic uint8 by row" if rowwise else "dynamic uint8"
    return TensorFormat(8, None, activations, "DynamicQuantizeMatMul", error)


def _row_scaled(graph: ir.Graph, node: ir.Node, tensors: list[ir.Value]) -> list[ir.Node]:
    """`x W` as `(x / r) W * r`, r the largest |value| of each row: one scale for all is then one for each."""
    last = _shared(graph, "rowwise.axis", np.array([-1]))
    smallest = _shared(graph, "rowwise.smallest", np.array(np.finfo(np.float32).tiny, np.float32))
    magnitude = ir.node("Abs", [node.inputs[0]])
    largest = ir.node("ReduceMax", [magnitude.outputs[0], last], {"keepdims": 1})
    divisor = ir.node("Max", [largest.outputs[0], smallest])
    divided = ir.node("Div", [node.inputs[0], divisor.outputs[0]])
    product = ir.node("DynamicQuantizeMatMul", [divided.outputs[0], *tensors], domain=CONTRIB)
    scaled = ir.node("Mul", [product.outputs[0], divisor.outputs[0]])
    return [magnitude, largest, divisor, divided, product, scaled]


def _codes(rounded: Channels, signed: bool) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return the codes of a weight and its zero points (channels,)."""
    if signed:
        return (rounded.codes ^ ZERO_POINT).view(np.int8), np.zeros(rounded.scales.shape, np.int8)
    return rounded.codes, np.full(rounded.scales.shape, ZERO_POINT, np.uint8)


def _block_matmul(graph: ir.Graph, weight: Weight, rounded: Blocks, rule: Rule, error: float) -> TensorFormat:
    """MatMul -> MatMulNBits, at the accuracy level that the rule's activations ask for."""
    integer = rule.activations == "blockwise"
    tensors = [
        _add(graph, f"{weight.name}.codes", _packed(rounded.codes, rounded.bits)),
        _add(graph, f"{weight.name}.scales", rounded.scales.reshape(-1)),
    ]
    if not rule.symmetric:
        zero_points = _packed(rounded.zero_points, rounded.bits).reshape(-1)
        tensors.append(_add(graph, f"{weight.name}.zero_points", zero_points))
    attributes = {
        "K": rounded.inputs,
        "N": len(rounded.codes),
        "bits": rounded.bits,
        "block_size": rounded.size,
        "accuracy_level": _INT8_LEVEL if integer else _FLOAT_LEVEL,
    }
    for node in weight.nodes:
        _replace(graph, node, [ir.node("MatMulNBits", [node.inputs[0], *tensors], attributes, domain=CONTRIB)])
    _drop(graph, weight.value)
    activations = "dynamic int8" if integer else "float32"
    return TensorFormat(rounded.bits, rounded.size, activations, "MatMulNBits", error)


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Pack codes along the last axis, the first in the low bits, padded to whole bytes."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    packed: NDArray[np.uint8] = (codes[..., 0::2] | (codes[..., 1::2] << 4)).astype(np.uint8)
    return packed


def _rows(graph: ir.Graph, weight: Weight, values: NDArray[np.float32]) -> TensorFormat:
    """Gather -> Gather codes and scales, Cast, Mul: only the rows that are looked up become floats."""
    rounded = channels(values, axis=0)
    codes = _add(graph, f"{weight.name}.codes", _codes(rounded, signed=True)[0])
    scales = _add(graph, f"{weight.name}.scales", rounded.scales[:, None])
    for node in weight.nodes:
        chosen = ir.node("Gather", [codes, node.inputs[1]])
        scale = ir.node("Gather", [scales, node.inputs[1]])
        cast = ir.node("Cast", [chosen.outputs[0]], {"to": ir.DataType.FLOAT})
        product = ir.node("Mul", [cast.outputs[0], scale.outputs[0]])
        _replace(graph, node, [chosen, scale, cast, product])
    _drop(graph, weight.value)
    return TensorFormat(8, None, "float32", "Gather", rounding_error(values, rounded.dequantize()))


def _convolution(
    graph: ir.Graph, weight: Weight, values: NDArray[np.float32], ranges: Mapping[str, Range] | None, signed: bool
) -> TensorFormat:
    """Put DequantizeLinear before the weight and, with static ranges, quantize input, output and bias too."""
    input_scales = []
    smallest = np.zeros(len(values), np.float32)
    if ranges is not None:
        input_scales = [_quantize_input(graph, node, ranges) for node in weight.nodes]
        for node, scale in zip(weight.nodes, input_scales, strict=True):
            smallest = np.maximum(smallest, np.abs(_bias(node, len(values))) / (scale * _BIAS_STEPS))
    rounded = channels(values, axis=0, smallest=smallest)
    stored, zeros = _codes(rounded, signed and ranges is not None)
    codes = _add(graph, f"{weight.name}.codes", stored)
    scales = _add(graph, f"{weight.name}.scales", rounded.scales)
    zero_points = _add(graph, f"{weight.name}.zero_points", zeros)
    for index, node in enumerate(weight.nodes):
        kernel = ir.node("DequantizeLinear", [codes, scales, zero_points], {"axis": 0})
        graph.insert_before(node, kernel)
        if ranges is not None:
            _quantize_bias(graph, node, input_scales[index] * rounded.scales)
            _quantize_output(graph, node, ranges)
        node.replace_input_with(1, kernel.outputs[0])
    _drop(graph, weight.value)
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
        [_add(graph, f"{prefix}.codes", codes), _add(graph, f"{prefix}.scales", scales)],
        {"axis": 0},
    )
    graph.insert_before(node, rounded)
    node.replace_input_with(2, rounded.outputs[0])
    _drop(graph, value)


def _quantize_output(graph: ir.Graph, node: ir.Node, ranges: Mapping[str, Range]) -> None:
    """Quantize a convolution's result for all who use it."""
    result = node.outputs[0]
    assert result.name is not None
    users = list(result.uses())
    after = _round_trip(graph, result, ranges[result.name], f"{result.name}.output")
    graph.insert_after(node, after)
    for user, place in users:
        user.replace_input_with(place, after[-1].outputs[0])


def _quantize_input(graph: ir.Graph, node: ir.Node, ranges: Mapping[str, Range]) -> float:
    """Quantize a convolution's input, unless it is the quantized output of another one; return its scale."""
    source = node.inputs[0]
    assert source is not None
    producer = source.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        scale = producer.inputs[1]
        assert scale is not None
        assert scale.const_value is not None
        return float(scale.const_value.numpy())
    assert source.name is not None
    span = ranges[source.name]
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
        assert part is not None
        before = _round_trip(graph, part, span, f"{prefix}.{place}")
        graph.insert_before(mover, before)
        mover.replace_input_with(place, before[-1].outputs[0])


def _round_trip(graph: ir.Graph, value: ir.Value, span: Range, prefix: str) -> list[ir.Node]:
    """Return QuantizeLinear and DequantizeLinear of a value."""
    scale = _add(graph, f"{prefix}.scale", np.float32(span.scale))
    zero_point = _add(graph, f"{prefix}.zero_point", np.uint8(span.zero_point))
    down = ir.node("QuantizeLinear", [value, scale, zero_point])
    return [down, ir.node("DequantizeLinear", [down.outputs[0], scale, zero_point])]


def _cast_from_half(graph: ir.Graph, weight: Weight, values: NDArray[np.float32]) -> TensorFormat:
    """Store halves, and compute in float32: rows of a table are cast after they were looked up."""
    stored = to_half(weight.name, values)
    del graph.initializers[weight.name]
    halves = _add(graph, weight.name, stored)
    for node in weight.nodes:
        if weight.operator == "table":
            chosen = ir.node("Gather", [halves, node.inputs[1]])
            cast = ir.node("Cast", [chosen.outputs[0]], {"to": ir.DataType.FLOAT})
            _replace(graph, node, [chosen, cast])
        else:
            cast = ir.node("Cast", [halves], {"to": ir.DataType.FLOAT})
            graph.insert_before(node, cast)
            node.replace_input_with(1, cast.outputs[0])
    return TensorFormat(16, None, "float32", weight.nodes[0].op_type, rounding_error(values, stored))


def to_half(name: str, values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to halves; raises `QuantizationError` where a value is not finite or beyond their range."""
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise QuantizationError(
            f"{name} has values that are not finite as halves (the largest is {np.abs(values).max():g}); "
            "keep it in 32 bits with a rule of its own"
        )
    return halves


def _add(graph: ir.Graph, name: str, values: NDArray[np.generic] | np.generic) -> ir.Value:
    tensor = ir.tensor(np.asarray(values), name=name)
    value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape))
    graph.register_initializer(value)
    return value


def _shared(graph: ir.Graph, name: str, values: NDArray[np.generic]) -> ir.Value:
    """Return a constant that all who ask for it by its name share."""
    known = graph.initializers.get(name)
    return _add(graph, name, values) if known is None else known


def _replace(graph: ir.Graph, node: ir.Node, nodes: list[ir.Node]) -> None:
    nodes[-1].name = node.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, nodes[-1].outputs)


def _drop(graph: ir.Graph, value: ir.Value) -> None:
    """Remove an initializer that nothing uses any more."""
    if value.name is not None and not value.uses():
        graph.initializers.pop(value.name, None)
