"""Quantization of Core AI bundles: the runtime that will run them measures what it cost."""

from dataclasses import replace
from importlib.metadata import version

from amused_edge.benchmarks.execution.coreai_products import asked_products
from amused_edge.quantization.calibration import calibrating
from amused_edge.quantization.coreai.apply import Observations, compress
from amused_edge.quantization.coreai.calibration import observe
from amused_edge.quantization.coreai.plan import make_plan
from amused_edge.quantization.coreai.trials import CoreAITrials
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.rules import Calibration, Recipe
from amused_edge.quantization.target import QuantizationTarget, describe_bits
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo, Manifest
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.coreai.package import GOLDEN_TOLERANCE, package, package_files, package_name
from amused_edge.runtime.stages import Stages


class CoreAIQuantizationTarget(QuantizationTarget):
    """See `QuantizationTarget`."""

    tools = ("coreai-core",)
    engine = EngineOptions(check_floats=True)
    evaluator = None

    def __init__(self, parent: Bundle, recipe: Recipe, options: QuantizeOptions) -> None:
        self.recipe = recipe
        self._parent = parent
        self._options = options
        self._plans = make_plan(parent, recipe)
        self._observations: dict[str, Observations] = {}

    def prepare(self, stages: Stages) -> None:
        """See `QuantizationTarget`."""
        seen = observe(
            self._parent,
            self._plans,
            self.recipe.calibration or Calibration(),
            self._options.prompt_list,
            on_picture=calibrating(stages.detail),
        )
        self._observations.update(seen)

    def trials(self) -> CoreAITrials:
        """See `QuantizationTarget`."""
        return CoreAITrials(self._parent, self._plans, self._observations)

    def write(self, role: str, writer: BundleWriter) -> GraphEntry:
        """See `QuantizationTarget`."""
        plan, entry = self._plans.pop(role), self._parent.graph(role)
        folder = writer.path / package_name(role)
        observed = self._observations.pop(role, Observations())
        formats = compress(package(self._parent, role), folder, plan.rules, observed)
        return replace(
            entry,
            files=tuple(writer.entry(file) for file in package_files(role)),
            stored_precision=describe_bits({n: (made.bits, plan.weights[n].shape) for n, made in formats.items()}),
            executed_precision=asked_products(folder),
            tensors=formats,
        )

    def engine_info(self, manifest: Manifest) -> EngineInfo:
        """See `QuantizationTarget`."""
        return replace(manifest.engine, version=version("coreai-core"))

    def golden_tolerance(self, manifest: Manifest) -> Tolerance:
        """See `QuantizationTarget`."""
        return GOLDEN_TOLERANCE
