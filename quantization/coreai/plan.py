"""What a recipe means for one Core AI bundle: every weight of every graph and the rule that it follows."""

from dataclasses import dataclass, replace

from amused_edge.quantization.coreai.package import Package
from amused_edge.quantization.coreai.weights import PackageWeight, find_weights
from amused_edge.quantization.errors import RecipeError
from amused_edge.quantization.recipes.for_coreai import ACTIVATIONS, HALVES
from amused_edge.quantization.recipes.rules import SMALLEST_BLOCK, Operator, Recipe, Rule
from amused_edge.quantization.target import check_unquantized
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.coreai.package import package
from amused_edge.runtime.errors import quoted


@dataclass(frozen=True)
class PlannedWeight:
    """A weight, without its package: name, what a pattern may match, what uses it, its shape, how many slices have a
    scale of their own, bits of its floats.
    """

    name: str
    names: tuple[str, ...]
    operator: Operator
    shape: tuple[int, ...]
    outputs: int
    width: int

    @staticmethod
    def of(weight: PackageWeight) -> "PlannedWeight":
        """Return what a plan needs of a weight."""
        return PlannedWeight(weight.name, weight.names, weight.operator, weight.shape, weight.outputs, weight.width)


@dataclass(frozen=True)
class GraphPlan:
    """The weights of one graph and the rules that they follow."""

    weights: dict[str, PlannedWeight]
    rules: dict[str, Rule]


def make_plan(bundle: Bundle, recipe: Recipe) -> dict[str, GraphPlan]:
    """Resolve a recipe for a bundle.

    Returns
    -------
    Role -> plan.

    Raises
    ------
    RecipeError
        A rule matches no weight, or cannot be carried out.
    QuantizationError
        The bundle is quantized already.
    """
    check_unquantized(bundle)
    found = {role: read_weights(bundle, role) for role in bundle.manifest.graphs}
    recipe.check_matches((role, w.names, w.operator) for role, weights in found.items() for w in weights.values())
    return {
        role: GraphPlan(
            weights,
            {name: fitting(recipe.rule(role, w.names, w.operator), w, role) for name, w in weights.items()},
        )
        for role, weights in found.items()
    }


def read_weights(bundle: Bundle, role: str) -> dict[str, PlannedWeight]:
    """Return the weights of a graph by name; its files are checked before Core AI, which trusts them, sees them."""
    verification.verify_files(bundle, bundle.graph(role).files)
    weights = find_weights(Package(package(bundle, role)), bundle.graph(role).derived_tensors)
    return {name: PlannedWeight.of(weight) for name, weight in weights.items()}


def fitting(rule: Rule, weight: PlannedWeight, role: str) -> Rule:
    """Return a rule as it is carried out for a weight, whose axes blocks and groups must share out evenly."""
    what = _unfit(rule, weight)
    if what is not None:
        raise RecipeError(f"rule {quoted(rule.tensors)} for {role}/{weight.name}: {what}")
    if rule.group is not None and weight.outputs % rule.group:
        rule = replace(rule, group=None)
    return rule if rule.block is None else _with_block(rule, rule.block, weight.shape[0])


def _with_block(rule: Rule, block: int, inputs: int) -> Rule:
    """Halve a block until it divides the inputs; where the smallest does not, all inputs share a scale."""
    while inputs % block and block > SMALLEST_BLOCK:
        block //= 2
    return replace(rule, block=None, rounding="nearest") if inputs % block else replace(rule, block=block)


def _unfit(rule: Rule, weight: PlannedWeight) -> str | None:
    """Say why a rule cannot be carried out; None if it can."""
    if rule.activations not in ("float", "static"):
        return HALVES if rule.activations == "half" else f"{ACTIVATIONS}; choose 'static' or 'float' activations"
    if rule.bits == 16:
        return "16 bits are what export --precision float16 stores; leave the weight, or choose 8 bits or less"
    if rule.activations == "static" and weight.operator == "table":
        return "a table is looked up and has no activations; name an operator in the rule"
    if (rule.block is not None or rule.rounding == "feedback") and weight.operator != "matmul":
        return f"blocks and feedback are for matmuls, and this is a {weight.operator}; name an operator in the rule"
    return None
