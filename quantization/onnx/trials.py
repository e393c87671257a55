"""Single weights of ONNX bundles under rules of their own: graphs with them, their bytes, and the rules above."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from amused_edge.quantization.onnx.apply import apply
from amused_edge.quantization.onnx.calibration import Observations
from amused_edge.quantization.onnx.plan import GraphPlan, read_weights
from amused_edge.quantization.onnx.session import MemoryGraph
from amused_edge.quantization.recipes.rules import PER_CHANNEL, Rule
from amused_edge.quantization.target import Trials
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph


class OnnxTrials(Trials):
    """See `Trials`. Graphs are in memory only.

    Parameters
    ----------
    observations
        Role -> what calibration saw, for rules that need it.
    """

    engine = EngineOptions(check_floats=True)
    description_bytes = 1024  # nodes, attributes and small tensors; about 550 are used

    def __init__(
        self, bundle: Bundle, plans: Mapping[str, GraphPlan], observations: Mapping[str, Observations]
    ) -> None:
        self.bundle = bundle
        self.plans = plans
        self._observations = observations

    def graph(self, role: str, rules: Mapping[str, Rule]) -> Graph:
        """See `Trials`. Halves are stored, and computed with in float32."""
        plan = read_weights(self.bundle, role)
        for name, rule in rules.items():
            plan.rules[name] = replace(rule, activations="float") if rule.activations == "half" else rule
        apply(plan, self._observations.get(role))
        return MemoryGraph(self.bundle, role, plan.model)

    def gentler(self, role: str, name: str, rule: Rule) -> Rule | None:
        """See `Trials`."""
        return gentler(rule)

    def stored_bytes(self, role: str, name: str, rule: Rule) -> int:
        """See `Trials`."""
        weight = self.plans[role].weights[name]
        return stored_bytes(weight.shape, weight.operator, rule)


def gentler(rule: Rule) -> Rule | None:
    """Return the next rule up the ladder of 4 bits, 8, 8 in small blocks, 16; None at its end."""
    if rule.bits >= 16:
        return None
    if rule.bits == 4:
        return replace(rule, bits=8, block=64, rounding="nearest")
    if rule.activations == "static":
        return replace(rule, activations="float")
    if rule.activations in PER_CHANNEL:
        return replace(rule, activations="blockwise", block=32, symmetric=True)
    if rule.block is not None and (rule.block > 32 or rule.activations == "blockwise"):
        return replace(rule, activations="float", block=min(rule.block, 32), symmetric=False, rounding="nearest")
    return Rule(rule.tensors, operator=rule.operator, bits=16)


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
