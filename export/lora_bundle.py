"""Bundle -> bundle with LoRAs: weights are changed where they lie, and the graphs stay as they are.

Export keeps the checkpoint's names, so nothing is traced, and PyTorch is not needed. Weights pass through memory one at
a time.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from amused_edge.export.checkpoint.lora.lora import Lora, read_loras
from amused_edge.export.checkpoint.lora.source import LoraSource
from amused_edge.export.errors import LoraError
from amused_edge.export.stored_weights import StoredWeights, add_to_files, find_weights
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.fine_tuning import FineTuning
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Golden
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import GOLDEN_NAME, TARGETS, Manifest
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.writer import BundleWriter, new_bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.stages import OnStage, Stages

_HALF_BITS = 16


def add_loras(
    source: str | Path,
    out: str | Path,
    loras: Sequence[LoraSource],
    *,
    lora_scale: float | None = None,
    on_stage: OnStage | None = None,
) -> Bundle:
    """Make a new bundle with LoRAs added to the weights, as an export of the checkpoint with them would be.

    Parameters
    ----------
    source
        A bundle for ONNX Runtime in float32, or by recipe `fp16`.
    out
        The new bundle's folder; must not exist. It appears complete or not at all.
    loras
        In the order in which they are added.
    lora_scale
        Alpha divided by rank of LoRAs whose files do not say it; None: 1.

    Raises
    ------
    LoraError
        A LoRA cannot be read or does not fit, or the bundle is not one whose weights can be changed.
    OutputExistsError, OptionsError, BundleError
        `out` exists, or cannot be written; the source is damaged.
    """
    out = Path(out)
    check_free(out)
    parent = Bundle.open(source)
    _check_kind(parent)
    stages = Stages(on_stage, len(parent.manifest.graphs) + 2)
    stages.next("reading the LoRAs")
    weights = find_weights(parent)
    read = read_loras(tuple(loras), weights.shapes, scale=lora_scale, folded=weights.folded)
    if not read:
        raise LoraError("no LoRA was given; give at least one")
    verification.verify_once(parent)
    with new_bundle(out) as writer:
        manifest = _start(parent, read, writer)
        for role in parent.manifest.graphs:
            stages.next(f"adding to {role}")
            manifest = replace(
                manifest, graphs={**manifest.graphs, role: _write_role(parent, role, weights, read, writer)}
            )
        stages.next("drawing a picture with the bundle")
        writer.write_manifest(_with_golden(parent, manifest, writer))
    return Bundle.open(out)


def _check_kind(bundle: Bundle) -> None:
    """Raise `LoraError` unless a bundle holds the weights as floats, by their names."""
    manifest = bundle.manifest
    if manifest.target != "onnx":
        target = TARGETS.get(manifest.target, quoted(manifest.target))
        raise LoraError(
            f"{bundle.path} is for {target}, and LoRAs are added to ONNX bundles only; export the checkpoint again, "
            "with --lora"
        )
    made = manifest.quantization
    formats = [made.bits for graph in manifest.graphs.values() for made in graph.tensors.values()]
    if made is not None and min(formats, default=32) < _HALF_BITS:
        raise LoraError(
            f"{bundle.path} is quantized (recipe {quoted(made.recipe.get('name'))}), and what a LoRA adds would be "
            f"rounded a second time; add it to the float32 bundle that this one was made from (manifest hash "
            f"{made.parent[:12]}), then quantize that"
        )


def _start(parent: Bundle, loras: Sequence[Lora], writer: BundleWriter) -> Manifest:
    """Copy what belongs to no graph and return the manifest of a bundle without graphs.

    What was measured is of the parent: it is not said of the new bundle.
    """
    files = {
        name: writer.copy(parent.file(entry), entry.path)
        for name, entry in parent.manifest.files.items()
        if name != GOLDEN_NAME
    }
    before = parent.manifest.fine_tuning or FineTuning()
    entries = (*before.loras, *(lora.entry for lora in loras))
    quantization = parent.manifest.quantization
    return replace(
        parent.manifest,
        files=files,
        graphs={},
        tools={**parent.manifest.tools, "amused-edge": version("amused-edge")},
        parity=None,
        quantization=quantization and replace(quantization, logits=None, pictures=None),
        fine_tuning=replace(before, loras=entries, parent=parent.sha256),
    )


def _write_role(
    parent: Bundle, role: str, weights: StoredWeights, loras: Sequence[Lora], writer: BundleWriter
) -> GraphEntry:
    """Copy a graph, add to its weights, and return its entry."""
    entry = parent.graph(role)
    for file in entry.files:
        shutil.copyfile(parent.file(file), writer.path / file.path)
    errors = add_to_files(weights.places.get(role, []), loras, writer.path)
    tensors = {
        name: replace(form, error=errors[name]) if name in errors and form.bits == _HALF_BITS else form
        for name, form in entry.tensors.items()
    }
    return replace(entry, files=tuple(writer.entry(file.path) for file in entry.files), tensors=tensors)


def _with_golden(parent: Bundle, manifest: Manifest, writer: BundleWriter) -> Manifest:
    """Draw the golden picture, one graph in memory at a time, and return the manifest with it."""
    golden = Golden.from_json(parent.golden.read_text(encoding="utf-8"))
    engine = EngineOptions.low_memory(check_floats=True)
    with AmusedPipeline(Bundle(writer.path, manifest), engine) as pipeline:
        drawn = golden_check.draw(pipeline, golden.prompt, golden.tolerance)
    entry = writer.write_text(GOLDEN_NAME, drawn.to_json())
    return replace(manifest, files={**manifest.files, GOLDEN_NAME: entry})
