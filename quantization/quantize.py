"""Bundle -> bundle with fewer bits: the whole way, from the recipe to the account of what it cost."""

import hashlib
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx_ir as ir

from amused_edge.benchmarks.precision_audit import executed_products
from amused_edge.benchmarks.prompts import BUILT_IN
from amused_edge.benchmarks.teacher_forcing import compare_bundles
from amused_edge.quantization import account
from amused_edge.quantization.calibration import Observations, observe
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.named_recipes import load_recipe
from amused_edge.quantization.onnx_apply import apply, what_to_watch
from amused_edge.quantization.plan import GraphPlan, check_finite, make_plan
from amused_edge.quantization.recipes import Recipe
from amused_edge.runtime import golden, verification
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.bundle_writer import BundleWriter, check_free, new_bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.manifest import GOLDEN_NAME, MANIFEST_NAME, GraphEntry, Manifest, TensorFormat
from amused_edge.runtime.measurements import Fidelity, Quantization
from amused_edge.runtime.options import GenerationOptions, whole_number
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.stages import OnStage, Stages

TOOLS = ("amused-edge", "onnx-ir", "onnxruntime", "numpy", "tokenizers")

FIDELITY_PROMPTS = 8

OLDEST_ENGINE_FOR_8_BIT_BLOCKS = "1.23.2"
"""`make compat` runs such a bundle on this release; 1.22.1 cannot compute MatMulNBits with 8 bits in float32."""


@dataclass(frozen=True)
class QuantizeOptions:
    """What a quantization may choose beside its recipe.

    Attributes
    ----------
    prompts
        Calibration draws the first of them, the account the last. None: prompts that are built in.
    calibration_prompts
        How many calibration draws; None: what the recipe says.
    fidelity_prompts
        How many pictures the account draws, 1 or more.
    """

    prompts: Sequence[str] | None = None
    calibration_prompts: int | None = None
    fidelity_prompts: int = FIDELITY_PROMPTS

    def __post_init__(self) -> None:
        if self.prompts is not None and (isinstance(self.prompts, str) or not self.prompts):
            raise OptionsError(f"prompts is {self.prompts!r}; give a list of one or more, or None for built-in ones")
        whole_number("fidelity_prompts", self.fidelity_prompts, minimum=1)
        if self.calibration_prompts is not None:
            whole_number("calibration_prompts", self.calibration_prompts, minimum=1)

    @property
    def prompt_list(self) -> tuple[str, ...]:
        """The prompts."""
        return tuple(self.prompts) if self.prompts is not None else BUILT_IN

    @property
    def measured_prompts(self) -> tuple[str, ...]:
        """The prompts whose pictures are compared."""
        return self.prompt_list[-self.fidelity_prompts :]

    def adapt(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the number of calibration prompts that was asked for."""
        if recipe.calibration is None or self.calibration_prompts is None:
            return recipe
        return replace(recipe, calibration=replace(recipe.calibration, prompts=self.calibration_prompts))


def quantize_bundle(
    source: str | Path,
    out: str | Path,
    recipe: str | Path | Recipe,
    options: QuantizeOptions | None = None,
    *,
    on_stage: OnStage | None = None,
) -> Bundle:
    """Make a new bundle with fewer bits, and measure it against its parent.

    Parameters
    ----------
    source
        A bundle that export wrote.
    out
        The new bundle's folder; must not exist. It appears complete or not at all; beside it, OUT.account.json and
        OUT.account.md hold what was measured.
    recipe
        Its name, a JSON file, or a `Recipe`.

    Raises
    ------
    RecipeError
        The recipe is not valid, or does not fit the bundle.
    QuantizationError
        The bundle cannot be quantized: it is already, or a weight is not finite.
    OutputExistsError, BundleError
        `out` or its account exists, or cannot be written; the source is damaged.
    """
    out, options = Path(out), options or QuantizeOptions()
    for path in (out, *account.paths(out)):
        check_free(path)
    chosen = options.adapt(load_recipe(recipe))
    parent = Bundle.open(source)
    plans = make_plan(parent, chosen)
    verification.verify_once(parent)
    check_finite(plans)
    stages = Stages(on_stage, len(plans) + 2)
    stages.next("calibrating")
    observations = calibrate(parent, plans, chosen, options, stages.detail)
    with account.beside(out) as write_account, new_bundle(out) as writer:
        manifest = _start(parent, writer)
        for role in list(plans):
            stages.next(f"quantizing {role}")
            entry = _write_graph(parent, plans.pop(role), observations.pop(role, None), writer)
            manifest = replace(manifest, graphs={**manifest.graphs, role: entry})
        manifest, fidelity = _measure(parent, manifest, chosen, options, writer, stages)
        writer.write_manifest(manifest)
        write_account(account.make(parent, Bundle(writer.path, manifest), chosen, fidelity))
    return Bundle.open(out)


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
    assert recipe.calibration is not None  # a recipe with such rules has one
    return observe(
        parent,
        graphs,
        recipe.calibration,
        options.prompt_list,
        on_picture=lambda i, n: report(f"calibrating: picture {i + 1} of {n}"),
    )


def _start(parent: Bundle, writer: BundleWriter) -> Manifest:
    """Copy what belongs to no graph and return the manifest of a bundle without graphs."""
    files = {}
    for name, entry in parent.manifest.files.items():
        if name != GOLDEN_NAME:
            files[name] = writer.copy(parent.file(entry), entry.path)
    tools = {**parent.manifest.tools, **{name: version(name) for name in TOOLS}, "python": platform.python_version()}
    return replace(parent.manifest, files=files, graphs={}, tools=tools, parity=None)


def _write_graph(
    parent: Bundle, plan: GraphPlan, observations: Observations | None, writer: BundleWriter
) -> GraphEntry:
    """Write one graph, changed as planned, and return its entry."""
    entry = parent.graph(plan.role)
    formats = apply(plan, observations)
    name = f"{plan.role}.onnx"
    ir.save(plan.model, writer.path / name, external_data=f"{name}.data", size_threshold_bytes=1024)
    products = executed_products(writer.path / name)
    return replace(
        entry,
        files=(writer.entry(name), writer.entry(f"{name}.data")),
        stored_precision=_stored(plan, formats),
        executed_precision=", ".join(f"{count} {what}" for what, count in products.items()),
        tensors=formats,
    )


def _stored(plan: GraphPlan, formats: dict[str, TensorFormat]) -> str:
    """Say how many of the weights' values are stored in how many bits, most first."""
    values: dict[int, int] = {}
    for name, made in formats.items():
        values[made.bits] = values.get(made.bits, 0) + int(np.prod(plan.weights[name].shape))
    total = sum(values.values())
    shares = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{bits} bits {count / total:.1%}" for bits, count in shares)


def _measure(
    parent: Bundle,
    manifest: Manifest,
    recipe: Recipe,
    options: QuantizeOptions,
    writer: BundleWriter,
    stages: Stages,
) -> tuple[Manifest, Fidelity]:
    """Draw the golden picture, compare the new bundle with its parent, and return the finished manifest."""
    stages.next("measuring")
    made = AmusedPipeline(Bundle(writer.path, manifest), EngineOptions())
    with made, AmusedPipeline(parent, EngineOptions()) as original:
        fidelity = compare_bundles(
            original,
            {"made": made},
            options.measured_prompts,
            original.settings(GenerationOptions()),
            on_picture=lambda i, n: stages.detail(f"measuring: picture {i + 1} of {n}"),
        )["made"]
        if not math.isfinite(fidelity.logits.mean_kl):
            raise QuantizationError("the new bundle's logits are not finite; choose a recipe with more bits")
        expected = golden.draw(made, golden.GOLDEN_PROMPT, _tolerance(manifest))
    entry = writer.write_text(GOLDEN_NAME, expected.to_json())
    digest = hashlib.sha256((parent.path / MANIFEST_NAME).read_bytes()).hexdigest()
    made_of = Quantization(recipe.to_dict(), digest, fidelity.logits, fidelity.pictures)
    engine = replace(manifest.engine, version=version("onnxruntime"), oldest_tried=_oldest_engine(manifest))
    files = {**manifest.files, GOLDEN_NAME: entry}
    return replace(manifest, engine=engine, files=files, quantization=made_of), fidelity


def _formats(manifest: Manifest) -> list[TensorFormat]:
    return [made for graph in manifest.graphs.values() for made in graph.tensors.values()]


def _oldest_engine(manifest: Manifest) -> str:
    """Return the oldest engine version on which a bundle of this kind was tried."""
    if any(made.operator == "MatMulNBits" and made.bits == 8 for made in _formats(manifest)):
        return OLDEST_ENGINE_FOR_8_BIT_BLOCKS
    return manifest.engine.oldest_tried


def _tolerance(manifest: Manifest) -> golden.Tolerance:
    """Return how far another engine may be: where a bundle asks for 8-bit activations or halves, some keep floats."""
    activations = {made.activations for made in _formats(manifest)}
    return golden.Tolerance(
        logits=0.1 if activations & {"dynamic uint8", "dynamic int8"} else 1e-2 if "float16" in activations else 1e-3,
        pixels=4 if "static uint8" in activations else 1,
    )
