"""Carries out a plan: changes a graph's weights as their rules say."""

import numpy as np
import onnx_ir as ir

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.calibration import Observations, Watch
from amused_edge.quantization.onnx.half import convert_to_half
from amused_edge.quantization.onnx.plan import GraphPlan
from amused_edge.quantization.onnx.rewrite import rewrite_weight
from amused_edge.quantization.onnx.weights import Weight
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.quantization.rounding.uniform import rounding_error, to_half
from amused_edge.runtime.bundle.graph_entry import TensorFormat
from amused_edge.runtime.checks import present


def what_to_watch(plan: GraphPlan) -> Watch | None:
    """Return which values calibration must see for a plan's rules; None if none."""
    watch = Watch()
    for name, rule in plan.rules.items():
        weight = plan.weights[name]
        nodes = weight.nodes
        if rule.rounding == "feedback" and weight.operator == "matmul":
            watch.products |= {_named(node.inputs[0]) for node in nodes}
        if rule.activations == "static":
            watch.ranges |= {_named(value) for node in nodes for value in (node.inputs[0], node.outputs[0])}
    return watch if watch.products or watch.ranges else None


def _named(value: ir.Value | None) -> str:
    name: str = present(None if value is None else value.name, "a value's name")
    return name


def apply(plan: GraphPlan, observations: Observations | None = None) -> dict[str, TensorFormat]:
    """Change a plan's graph as its rules say.

    Returns
    -------
    What each weight became.

    Raises
    ------
    QuantizationError
        A weight is not finite, or does not fit in halves.
    """
    if plan.half:
        kept = {name for name, rule in plan.rules.items() if rule.bits == 32}
        formats = {name: _half_format(weight, plan.rules[name]) for name, weight in plan.weights.items()}
        convert_to_half(plan.model.graph, kept)
    else:
        formats = {}
        for name, weight in plan.weights.items():
            try:
                formats[name] = _rewrite(plan, weight, observations)
            except QuantizationError as error:
                raise QuantizationError(f"{plan.role}/{name}: {error}") from error
    for node in plan.model.graph:
        if node.domain:
            plan.model.opset_imports.setdefault(node.domain, 1)
    return formats


def _half_format(weight: Weight, rule: Rule) -> TensorFormat:
    operator = weight.nodes[0].op_type
    if rule.bits == 32:
        return TensorFormat(32, None, "float32", operator, 0.0)
    values = present(weight.value.const_value, f"the weight {weight.name}").numpy()
    return TensorFormat(16, None, "float16", operator, rounding_error(values, to_half(weight.name, values)))


def _rewrite(plan: GraphPlan, weight: Weight, observations: Observations | None) -> TensorFormat:
    hessian, ranges = None, None
    if observations is not None:
        seen = [observations.products.get(_named(node.inputs[0])) for node in weight.nodes]
        known = [product for product in seen if product is not None]
        hessian = np.sum(known, axis=0) if known else None
        ranges = observations.ranges
    rule = plan.rules[weight.name]
    return rewrite_weight(plan.model.graph, weight, rule, hessian=hessian, ranges=ranges)
