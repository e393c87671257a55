"""Quantization of Core ML bundles: compressed weights, arithmetic as exported."""

import re
from dataclasses import dataclass, replace

from amused_edge.quantization.calibration import calibrating
from amused_edge.quantization.coreml.apply import compress
from amused_edge.quantization.coreml.calibration import Moments, observe
from amused_edge.quantization.coreml.weights import ProgramWeight, find_weights
from amused_edge.quantization.errors import QuantizationError, RecipeError
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.for_coreml import ACTIVATIONS, HALVES
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.target import QuantizationTarget, Trials, check_unquantized, describe_bits
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo, Manifest
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.checks import present
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.coreml.description import EVALUATOR, GOLDEN_TOLERANCE
from amused_edge.runtime.engines.coreml.package import package, package_files
from amused_edge.runtime.engines.coreml.program import read_program
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.stages import Stages

FINE_GRAINED_SYSTEM = 18
"""The iOS from which a weight may have several palettes, and scales per block."""


@dataclass(frozen=True)
class ProgramPlan:
    """The weights of one graph and the rules that they follow."""

    weights: dict[str, ProgramWeight]
    rules: dict[str, Rule]


class CoreMLQuantizationTarget(QuantizationTarget):
    """See `QuantizationTarget`.

    Attributes
    ----------
    seen
        Role -> moments that calibration saw; a weight whose input is not among them has the nearest values.
    """

    tools = ("coremltools",)
    engine = EngineOptions(simulate="half", check_floats=True)
    evaluator = EVALUATOR

    def __init__(self, parent: Bundle, recipe: Recipe, options: QuantizeOptions | None = None) -> None:
        check_unquantized(parent)
        self.recipe = recipe
        self._parent = parent
        self._options = options or QuantizeOptions()
        self._plans = _plans(parent, recipe)
        self.seen: dict[str, Moments] = {}

    def prepare(self, stages: Stages) -> None:
        """See `QuantizationTarget`. Nothing is drawn where no rule asks for feedback."""
        wanted = {role: names for role, plan in self._plans.items() if (names := _what_to_watch(plan))}
        if wanted:
            self.seen = observe(
                self._parent,
                wanted,
                present(self.recipe.calibration, "the calibration of a recipe with feedback"),
                self._options.prompt_list,
                on_picture=calibrating(stages.detail),
            )

    def trials(self) -> Trials:
        """Refuse, see `QuantizationTarget`."""
        raise QuantizationError(
            f"{self._parent.path} is for Core ML, of which only an evaluator runs here, and the sensitivity of each "
            "weight takes an engine; measure an ONNX or Core AI bundle of the same checkpoint"
        )

    def write(self, role: str, writer: BundleWriter) -> GraphEntry:
        """See `QuantizationTarget`."""
        plan = self._plans.pop(role)
        folder = f"{role}.mlpackage"
        seen = self.seen.pop(role, {})
        formats = compress(package(self._parent, role), writer.path / folder, plan.weights, plan.rules, seen)
        return replace(
            self._parent.graph(role),
            files=tuple(writer.entry(file) for file in package_files(writer.path, folder)),
            stored_precision=describe_bits(
                {n: (made.bits, plan.weights[n].value.shape) for n, made in formats.items()}
            ),
            tensors=formats,
        )

    def engine_info(self, manifest: Manifest) -> EngineInfo:
        """See `QuantizationTarget`."""
        return manifest.engine

    def golden_tolerance(self, manifest: Manifest) -> Tolerance:
        """See `QuantizationTarget`."""
        return GOLDEN_TOLERANCE


def _what_to_watch(plan: ProgramPlan) -> set[str]:
    """Return the names of the values whose second moments a plan's rules need."""
    fed_back = (weight for name, weight in plan.weights.items() if plan.rules[name].rounding == "feedback")
    return {name for weight in fed_back for name in weight.inputs}


def _plans(bundle: Bundle, recipe: Recipe) -> dict[str, ProgramPlan]:
    """Resolve a recipe for a bundle; raises `RecipeError` if a rule matches nothing or cannot be carried out."""
    found = {
        role: find_weights(read_program(package(bundle, role)), entry.derived_tensors)
        for role, entry in bundle.manifest.graphs.items()
    }
    recipe.check_matches((role, w.names, w.operator) for role, weights in found.items() for w in weights.values())
    plans = {}
    for role, weights in found.items():
        rules = {name: recipe.rule(role, weight.names, weight.operator) for name, weight in weights.items()}
        plans[role] = ProgramPlan(weights, {n: _fitting(rule, weights[n], role, bundle) for n, rule in rules.items()})
    return plans


def _fitting(rule: Rule, weight: ProgramWeight, role: str, bundle: Bundle) -> Rule:
    """Return a rule as it is carried out for a weight: without groups where the system has none."""
    what = _unfit(rule, weight, bundle)
    if what is not None:
        raise RecipeError(f"rule {quoted(rule.tensors)} for {role}/{weight.name}: {what}")
    fits = rule.group is not None and _outputs(weight) % rule.group == 0
    return rule if fits and _system(bundle) >= FINE_GRAINED_SYSTEM else replace(rule, group=None)


def _unfit(rule: Rule, weight: ProgramWeight, bundle: Bundle) -> str | None:
    """Say why a rule cannot be carried out; None if it can."""
    if rule.activations != "float":
        return HALVES if rule.activations == "half" else f"{ACTIVATIONS}; choose 'float' activations"
    if rule.bits == 16:
        return "16 bits are what export --precision float16 stores; leave the weight, or choose 8 bits or less"
    if rule.rounding != "nearest" and not rule.palette:
        return "with Core ML, rounding 'feedback' is for palettes"
    fine = rule.block is not None or (rule.bits == 4 and not rule.palette)
    if fine and _system(bundle) < FINE_GRAINED_SYSTEM:
        return f"blocks, and 4 bits without a palette, need iOS {FINE_GRAINED_SYSTEM}; export with --ios 18"
    if rule.block is not None and (weight.operator != "matmul" or weight.value.shape[-1] % rule.block):
        return f"blocks of {rule.block} do not divide the inputs of its shape {list(weight.value.shape)}"
    return None


def _outputs(weight: ProgramWeight) -> int:
    return int(weight.value.shape[1 if weight.kind == "matmul" else 0])


def _system(bundle: Bundle) -> int:
    """Return the iOS that a bundle is for."""
    found = re.search(r"\d+", bundle.manifest.engine.version)
    if found is None:
        raise QuantizationError(
            f"{bundle.path}: {quoted(bundle.manifest.engine.version)} is no version of iOS; export it again"
        )
    return int(found.group())
