"""What a recipe means for one bundle: every weight of every graph and the rule that it follows."""

from dataclasses import dataclass

import onnx_ir as ir

from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.onnx.load import load_model
from amused_edge.quantization.onnx.weights import Weight, expand_gemms, find_weights
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.target import check_unquantized
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.errors import quoted


@dataclass
class GraphPlan:
    """One graph, read from the parent's file, and what its weights become.

    Attributes
    ----------
    model
        Weights lie in the parent's files until they are asked for.
    """

    role: str
    model: ir.Model
    weights: dict[str, Weight]
    rules: dict[str, Rule]

    @property
    def changed(self) -> bool:
        """Whether any weight gets fewer bits."""
        return any(rule.bits < 32 for rule in self.rules.values())

    @property
    def half(self) -> bool:
        """Whether the graph is to compute in halves."""
        return any(rule.activations == "half" for rule in self.rules.values())


def read_weights(bundle: Bundle, role: str) -> GraphPlan:
    """Return a graph and its weights, all of which stay as they are."""
    entry = bundle.graph(role)
    model = load_model(bundle, role)
    expand_gemms(model.graph)
    weights = find_weights(model.graph, entry.derived_tensors)
    return GraphPlan(role, model, weights, {name: Rule(f"{role}/{name}") for name in weights})


def make_plan(bundle: Bundle, recipe: Recipe) -> dict[str, GraphPlan]:
    """Resolve a recipe for a bundle.

    Returns
    -------
    Role -> plan.

    Raises
    ------
    RecipeError
        A rule matches no weight, or asks for what cannot be done.
    QuantizationError
        The bundle is quantized already.
    """
    check_unquantized(bundle)
    plans = {role: read_weights(bundle, role) for role in bundle.manifest.graphs}
    recipe.check_matches(
        (role, weight.names, weight.operator) for role, plan in plans.items() for weight in plan.weights.values()
    )
    for role, plan in plans.items():
        plan.rules = {name: recipe.rule(role, weight.names, weight.operator) for name, weight in plan.weights.items()}
        for name, weight in plan.weights.items():
            plan.rules[name].check_fits(role, name, weight.operator)
        _check_half(recipe, plan)
    return plans


def _check_half(recipe: Recipe, plan: GraphPlan) -> None:
    """Halves and other kinds do not go together in one graph."""
    if not plan.half:
        return
    for name, rule in plan.rules.items():
        if rule.bits < 32 and rule.activations != "half":
            raise RecipeError(
                f"recipe {quoted(recipe.name)} has 'half' activations in {plan.role} and rule {quoted(rule.tensors)} "
                f"for {name}; in a graph that computes in halves a weight is 'half' or has 32 bits"
            )
