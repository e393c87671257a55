"""Checkpoint -> bundle: the whole export, from reading to the recorded parity."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from amused_edge.export import parity
from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.checkpoint.lora.source import LoraSource
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import EXAMPLE_BATCH, GRAPHS, GraphSpec
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.row_cache import RowCacheDenoiser
from amused_edge.export.target import ExportTarget
from amused_edge.export.targets import make_target
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import (
    GOLDEN_NAME,
    TOKENIZER_NAME,
    Geometry,
    Manifest,
    MicroConditioning,
    ModelInfo,
)
from amused_edge.runtime.bundle.measurements import Parity, Simulated
from amused_edge.runtime.bundle.places import check_free
from amused_edge.runtime.bundle.writer import BundleWriter, new_bundle
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.engines import load_graph
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.stages import OnStage, Stages

TOOLS = ("amused-edge", "torch", "transformers", "numpy", "tokenizers")


@dataclass(frozen=True)
class ExportOptions:
    """What an export may choose, whatever its target.

    Attributes
    ----------
    height, width
        Of the pictures in pixels; None takes the checkpoint's own size. The graphs have this one size.
    sampler
        Defaults for the manifest; what is left open comes from the checkpoint's `generation_config.json`, the schedule
        else from its scheduler's config, the rest else from the reference.
    variant
        "fp16" to read half-precision files; None as in `open_checkpoint`.
    name
        Of the model, for the manifest; None takes the checkpoint's.
    transformer
        Folder of a U-ViT in place of the checkpoint's own.
    loras, lora_scale
        LoRAs that are added to the weights, and alpha divided by rank of those whose files do not say it; None: 1.
    """

    height: int | None = None
    width: int | None = None
    sampler: GenerationOptions = field(default_factory=GenerationOptions)
    variant: str | None = None
    name: str | None = None
    transformer: str | Path | None = None
    loras: Sequence[LoraSource] = ()
    lora_scale: float | None = None

    def __post_init__(self) -> None:
        for name in self.sampler.settings(SamplerSettings()).later:
            value = getattr(self.sampler, name)
            raise OptionsError(f"{name} {value} is chosen for each picture; a bundle's defaults do not have it")


def export_bundle(
    source: str | Path,
    out: str | Path,
    options: ExportOptions | None = None,
    *,
    target: str | ExportTarget = "onnx",
    on_stage: OnStage | None = None,
) -> Bundle:
    """Convert a checkpoint to a bundle and check that it computes the same.

    Parameters
    ----------
    source
        A folder in diffusers layout, or a hub id.
    out
        The new bundle's folder; must not exist. It appears complete or not at all.
    target
        "onnx", "coreml" or "coreai", or an `ExportTarget` with options of its own, such as
        `CoreMLTarget(CoreMLOptions(ios=18, precision="float32"))`.

    Raises
    ------
    CheckpointError, LoraError, ExportError
        The checkpoint or a LoRA cannot be read, or the options do not fit it.
    ParityError
        A graph does not compute what the checkpoint's modules compute.
    OutputExistsError, OptionsError, BundleError
        `out` exists, or cannot be written.
    """
    made_for = make_target(target) if isinstance(target, str) else target
    out, options = Path(out), options or ExportOptions()
    check_free(out)
    stages = Stages(on_stage, len(GRAPHS) + 2)
    stages.next("reading the checkpoint")
    checkpoint = open_checkpoint(
        source,
        variant=options.variant,
        transformer=options.transformer,
        loras=options.loras,
        lora_scale=options.lora_scale,
    )
    geometry = _geometry(checkpoint, options)
    checkpoint.check()
    with new_bundle(out) as writer:
        manifest = _start(checkpoint, geometry, options, made_for, writer)
        errors = {}
        for spec in GRAPHS:
            stages.next(f"exporting {spec.role}")
            manifest, errors[spec.role] = _export_role(spec, checkpoint, made_for, writer, manifest)
        stages.next("drawing a picture with the bundle and with the checkpoint")
        with AmusedPipeline(Bundle(writer.path, manifest), made_for.engine) as pipeline:
            logits, pictures, golden = parity.check_generation(
                checkpoint, pipeline, made_for.tolerances, made_for.golden_tolerance
            )
        manifest = replace(
            manifest, files={**manifest.files, GOLDEN_NAME: writer.write_text(GOLDEN_NAME, golden.to_json())}
        )
        if made_for.evaluator is None:
            manifest = replace(manifest, parity=Parity(errors, logits, pictures))
        else:
            simulated = Simulated(made_for.evaluator, "checkpoint", errors, logits, pictures)
            manifest = replace(manifest, simulated=simulated)
        writer.write_manifest(manifest)
    return Bundle.open(out)


def _geometry(checkpoint: Checkpoint, options: ExportOptions) -> Geometry:
    factor = checkpoint.vqgan.factor
    default = checkpoint.uvit.sample_size * factor
    multiple = factor * checkpoint.uvit.grid_multiple
    sides = {}
    for name, given in (("height", options.height), ("width", options.width)):
        side = whole_number(name, default if given is None else given, minimum=1)
        if side % multiple:
            raise ExportError(f"{name} is {side}; pictures of this model have sides in multiples of {multiple}")
        sides[name] = side
    return Geometry(
        image_height=sides["height"],
        image_width=sides["width"],
        grid_height=sides["height"] // factor,
        grid_width=sides["width"] // factor,
        codebook_size=checkpoint.uvit.codebook_size,
        mask_token_id=checkpoint.mask_token_id,
        text_length=checkpoint.text_length,
    )


def _start(
    checkpoint: Checkpoint, geometry: Geometry, options: ExportOptions, target: ExportTarget, writer: BundleWriter
) -> Manifest:
    """Write what belongs to no role and return the manifest of a bundle without graphs."""
    tokenizer = writer.write_text(TOKENIZER_NAME, checkpoint.tokenizer.json)
    return Manifest(
        target=target.name,
        model=ModelInfo(
            name=options.name or checkpoint.source,
            source=checkpoint.source,
            license=checkpoint.license,
        ),
        geometry=geometry,
        sampler=options.sampler.settings(checkpoint.sampler),
        micro_conditioning=MicroConditioning(),
        engine=target.engine_info(),
        files={TOKENIZER_NAME: tokenizer, **target.write_files(geometry, writer)},
        graphs={},
        tools={name: found for name in (*TOOLS, *target.tools) if (found := _version(name))}
        | {"python": platform.python_version()},
        fine_tuning=checkpoint.fine_tuning,
    )


def _export_role(
    spec: GraphSpec, checkpoint: Checkpoint, target: ExportTarget, writer: BundleWriter, manifest: Manifest
) -> tuple[Manifest, dict[str, float]]:
    """Write one graph, compare it with its module, and return the manifest with it and the errors."""
    module = spec.build(checkpoint).eval()
    inputs = spec.example(checkpoint, manifest.geometry, EXAMPLE_BATCH)
    entry = target.write(spec, module, inputs, writer)
    manifest = replace(manifest, graphs={**manifest.graphs, spec.role: entry})
    graph = load_graph(Bundle(writer.path, manifest), spec.role, target.engine)
    try:
        if entry.keeps_rows and isinstance(module, Denoiser):
            parity.check_kept_rows(RowCacheDenoiser(module), graph, inputs, target.tolerances)
        return manifest, parity.check_role(spec, module, graph, inputs, target.tolerances)
    finally:
        graph.close()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
