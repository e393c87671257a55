"""Quantization of ONNX bundles."""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import onnx_ir as ir

from amused_edge.benchmarks.execution.optimised import executed_products
from amused_edge.quantization.calibration import calibrating
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.apply import apply, what_to_watch
from amused_edge.quantization.onnx.calibration import Observations, observe
from amused_edge.quantization.onnx.plan import GraphPlan, make_plan
from amused_edge.quantization.onnx.trials import OnnxTrials
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.quantization.target import QuantizationTarget, describe_bits
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import GraphEntry, TensorFormat
from amused_edge.runtime.bundle.manifest import EngineInfo, Manifest
from amused_edge.runtime.bundle.read_back import check_initializers
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.checks import present
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import first_line
from amused_edge.runtime.stages import Stages

OLDEST_ENGINE_FOR_8_BIT_BLOCKS = "1.23.2"
"""`make compat` runs such a bundle on this release; 1.22.1 cannot compute MatMulNBits with 8 bits in float32."""


class OnnxQuantizationTarget(QuantizationTarget):
    """See `QuantizationTarget`."""

    tools = ("onnx-ir", "onnxruntime")
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
        seen = calibrate(self._parent, self._plans, self.recipe, self._options, stages.detail)
        self._observations.update(seen)

    def trials(self) -> OnnxTrials:
        """See `QuantizationTarget`."""
        return OnnxTrials(self._parent, self._plans, self._observations)

    def write(self, role: str, writer: BundleWriter) -> GraphEntry:
        """See `QuantizationTarget`."""
        plan = self._plans.pop(role)
        formats = apply(plan, self._observations.pop(role, None))
        name = f"{role}.onnx"
        ir.save(plan.model, writer.path / name, external_data=f"{name}.data", size_threshold_bytes=1024)
        written = ir.load(writer.path / name)
        check_initializers(writer.path / name, plan.model.graph.initializers, written.graph.initializers)
        products = _products(role, writer.path / name)
        entry = self._parent.graph(role)
        return replace(
            entry,
            files=(writer.entry(name), writer.entry(f"{name}.data")),
            stored_precision=describe_bits({n: (made.bits, plan.weights[n].shape) for n, made in formats.items()}),
            executed_precision=", ".join(f"{count} {what}" for what, count in products.items()),
            tensors=formats,
        )

    def engine_info(self, manifest: Manifest) -> EngineInfo:
        """See `QuantizationTarget`."""
        return replace(manifest.engine, version=version("onnxruntime"), oldest_tried=_oldest_engine(manifest))

    def golden_tolerance(self, manifest: Manifest) -> Tolerance:
        """See `QuantizationTarget`. Where a bundle asks for 8-bit activations or halves, some engines keep floats."""
        activations = {made.activations for made in _formats(manifest)}
        logits = 1e-2 if "float16" in activations else 1e-3
        if any(kind.startswith("dynamic") for kind in activations):
            logits = 0.1
        return Tolerance(logits, pixels=4 if "static uint8" in activations else 1)


def calibrate(
    parent: Bundle,
    plans: dict[str, GraphPlan],
    recipe: Recipe,
    options: QuantizeOptions,
    report: Callable[[str], None],
) -> dict[str, Observations]:
    """Return, by role, what the plans' rules need to know; nothing is drawn where they need nothing."""
    graphs = {role: (plan.model, watch) for role, plan in plans.items() if (watch := what_to_watch(plan)) is not None}
    if not graphs:
        return {}
    calibration = present(recipe.calibration, "the calibration of a recipe with such rules")
    return observe(parent, graphs, calibration, options.prompt_list, on_picture=calibrating(report))


def _products(role: str, model: Path) -> dict[str, int]:
    try:
        return executed_products(model)
    except OSError:  # a full disk, say
        raise
    except Exception as error:  # the binding's exceptions have no public base
        raise QuantizationError(
            f"onnxruntime {version('onnxruntime')} cannot load the new {role} ({first_line(error)}); choose a recipe "
            "with other activations for it, 'float' rather than 'half'"
        ) from error


def _formats(manifest: Manifest) -> list[TensorFormat]:
    return [made for graph in manifest.graphs.values() for made in graph.tensors.values()]


def _oldest_engine(manifest: Manifest) -> str:
    """Return the oldest engine version on which a bundle of this kind was tried."""
    if any(made.operator == "MatMulNBits" and made.bits == 8 for made in _formats(manifest)):
        return OLDEST_ENGINE_FOR_8_BIT_BLOCKS
    return manifest.engine.oldest_tried
