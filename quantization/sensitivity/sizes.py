"""How many bytes weights, and bundles, take under rules, known before they are made."""

import numpy as np

from amused_edge.quantization.onnx.plan import GraphPlan
from amused_edge.quantization.recipes.rules import Rule
from amused_edge.runtime.bundle.folder import Bundle

_DESCRIPTION_BYTES = 1024
"""Room for the nodes, attributes and small tensors of one changed weight; about 550 are used."""


def stored_bytes(shape: tuple[int, ...], operator: str, rule: Rule) -> int:
    """Return how many bytes a weight takes under a rule, with its scales and zero points."""
    values = int(np.prod(shape))
    if rule.bits >= 16:
        return values * rule.bits // 8
    if operator == "matmul" and rule.block is not None:
        inputs, outputs = shape
        count = -(-inputs // rule.block)
        zero_points = 0 if rule.symmetric else -(-count * rule.bits // 8)
        return outputs * (count * (rule.block * rule.bits // 8 + 4) + zero_points)
    groups = shape[1] if operator == "matmul" else shape[0]
    return values + groups * (4 if operator == "table" else 5)


def bundle_bytes(parent: Bundle, plans: dict[str, GraphPlan]) -> int:
    """Return how large a bundle made by these plans is at most: weights as their rules say, the rest as in the parent,
    and what describes each changed weight in its graph.
    """
    total = parent.manifest.bytes
    for plan in plans.values():
        for name, weight in plan.weights.items():
            rule = plan.rules[name]
            if rule.bits < 32:
                now = stored_bytes(weight.shape, weight.operator, rule)
                total += now - stored_bytes(weight.shape, weight.operator, Rule(name)) + _DESCRIPTION_BYTES
    return total
