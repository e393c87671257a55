"""Bundle -> bundle with fewer bits: the whole way, from the recipe to the account of what it cost."""

import hashlib
import math
import platform
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from amused_edge.benchmarks.subjects.teacher_forcing import compare_bundles
from amused_edge.quantization import account
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.quantization.target import QuantizationTarget
from amused_edge.quantization.targets import make_target
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import GOLDEN_PROMPT
from amused_edge.runtime.bundle.manifest import GOLDEN_NAME, MANIFEST_NAME, Manifest
from amused_edge.runtime.bundle.measurements import Fidelity, Quantization, Simulated
from amused_edge.runtime.bundle.writer import BundleWriter, new_bundle
from amused_edge.runtime.engines.stored_floats import check_stored_floats
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.stages import OnStage, Stages

__all__ = ["QuantizeOptions", "quantize_bundle"]

TOOLS = ("amused-edge", "numpy", "tokenizers")


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
        The bundle cannot be quantized: it is already, or what it becomes is not finite.
    OutputExistsError, OptionsError, BundleError
        `out` or its account exists, cannot be written, or would lie inside a bundle; the source is damaged, or a weight
        of it is not finite.
    """
    out, options = Path(out), options or QuantizeOptions()
    account.check_places(out)
    parent = Bundle.open(source)
    target = make_target(parent, options.adapt(load_recipe(recipe, parent.manifest.target)), options)
    verification.verify_once(parent)
    check_stored_floats(parent)
    roles = list(parent.manifest.graphs)
    stages = Stages(on_stage, len(roles) + 2)
    stages.next("calibrating")
    target.prepare(stages)
    with account.beside(out) as write_account, new_bundle(out) as writer:
        manifest = _start(parent, target, writer)
        for role in roles:
            stages.next(f"quantizing {role}")
            manifest = replace(manifest, graphs={**manifest.graphs, role: target.write(role, writer)})
        manifest, fidelity = _measure(parent, manifest, target, options, writer, stages)
        writer.write_manifest(manifest)
        write_account(account.make(parent, Bundle(writer.path, manifest), target.recipe, fidelity))
    return Bundle.open(out)


def _start(parent: Bundle, target: QuantizationTarget, writer: BundleWriter) -> Manifest:
    """Copy what belongs to no graph and return the manifest of a bundle without graphs."""
    files = {}
    for name, entry in parent.manifest.files.items():
        if name != GOLDEN_NAME:
            files[name] = writer.copy(parent.file(entry), entry.path)
    versions = {name: version(name) for name in (*TOOLS, *target.tools)}
    tools = {**parent.manifest.tools, **versions, "python": platform.python_version()}
    return replace(parent.manifest, files=files, graphs={}, tools=tools, parity=None, simulated=None)


def _measure(
    parent: Bundle,
    manifest: Manifest,
    target: QuantizationTarget,
    options: QuantizeOptions,
    writer: BundleWriter,
    stages: Stages,
) -> tuple[Manifest, Fidelity]:
    """Draw the golden picture, compare the new bundle with its parent, and return the finished manifest."""
    stages.next("measuring")
    made = AmusedPipeline(Bundle(writer.path, manifest), target.engine)
    with made, AmusedPipeline(parent, target.engine) as original:
        fidelity = compare_bundles(
            original,
            {"made": made},
            options.measured_prompts,
            original.settings(GenerationOptions()),
            on_picture=lambda i, n: stages.detail(f"measuring: picture {i + 1} of {n}"),
        )["made"]
        if not math.isfinite(fidelity.logits.mean_kl):
            raise QuantizationError("the new bundle's logits are not finite; choose a recipe with more bits")
        expected = golden_check.draw(made, GOLDEN_PROMPT, target.golden_tolerance(manifest))
    entry = writer.write_text(GOLDEN_NAME, expected.to_json())
    manifest = replace(manifest, engine=target.engine_info(manifest), files={**manifest.files, GOLDEN_NAME: entry})
    digest = hashlib.sha256((parent.path / MANIFEST_NAME).read_bytes()).hexdigest()
    recipe = target.recipe.to_dict()
    if target.evaluator is None:
        made_of = Quantization(recipe, digest, fidelity.logits, fidelity.pictures)
        return replace(manifest, quantization=made_of), fidelity
    simulated = Simulated(target.evaluator, "parent", {}, fidelity.logits, fidelity.pictures)
    return replace(manifest, quantization=Quantization(recipe, digest, None, None), simulated=simulated), fidelity
