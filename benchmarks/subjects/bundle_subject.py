"""A bundle as a subject of measurements."""

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.subjects.free_running import draw_tokens
from amused_edge.benchmarks.subjects.kept_rows import KeptRows
from amused_edge.benchmarks.subjects.subject import SubjectSpec, distinct
from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import DRAWING_ROLES, MANIFEST_NAME
from amused_edge.runtime.drawing.conditioning import Conditioning, stack
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.options import Simulation
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.kinds import TextToImage

if TYPE_CHECKING:
    from amused_edge.benchmarks.execution.audit import Audit
    from amused_edge.benchmarks.execution.peaks import Peaks
    from amused_edge.benchmarks.subjects.embeddings import Embeddings
    from amused_edge.benchmarks.subjects.teacher_forcing import LogitSource

TARGET = "amused_edge.benchmarks.subjects.bundle_subject:BundleSubject"


class BundleSubject:
    """A bundle in this process.

    Parameters
    ----------
    path
        Its folder.
    engine
        Fields of `EngineOptions`.
    embeddings
        File of prompt embeddings (see `Embeddings`) to start from, so that the text encoder is not needed; None
        starts from the prompt.
    """

    def __init__(self, path: str, engine: Mapping[str, Any] | None = None, embeddings: str | None = None) -> None:
        self.engine = EngineOptions(**{"remembered_prompts": 0, **(engine or {})})  # a prompt is as costly each time
        self.pipeline = AmusedPipeline.from_bundle(path, self.engine)
        if self.pipeline.bundle.manifest.target == "onnx":  # now, so that it is no part of loading
            importlib.import_module("amused_edge.runtime.engines.onnx.session")
        self.geometry = self.pipeline.geometry
        self._embeddings = None if embeddings is None else _read_embeddings(embeddings)

    def load(self) -> None:
        """Load the graphs."""
        for role in DRAWING_ROLES if self._embeddings is None else DRAWING_ROLES[1:]:
            self.pipeline.graph(role)

    def close(self) -> None:
        """Release the graphs."""
        self.pipeline.close()

    def logits(self, prompt: str, settings: SamplerSettings) -> "LogitSource":
        """Return guided logits, see `Subject`."""
        conditioning = self._conditioning(prompt, settings.guided)
        if settings.row_cache:
            return KeptRows(self.pipeline, conditioning, settings)
        return lambda step, tokens, rows: self.pipeline.guided_logits(
            tokens, rows, conditioning, settings.guidance_at(step)
        )

    def decode(self, tokens: IntArray) -> ImageArray:
        """Decode, see `Subject`."""
        return self.pipeline.decode(tokens)

    def draw(self, prompt: str, settings: SamplerSettings, seed: int, count: int) -> ImageArray:
        """Draw with the pipeline; from given embeddings, with the same loop."""
        if self._embeddings is None:
            options = GenerationOptions(seed=seed, **asdict(settings))
            return self.pipeline.generate(TextToImage(prompt, pictures_per_prompt=count), options).images
        source = self.logits(prompt, settings)
        return np.concatenate([self._draw_one(source, settings, seed, picture) for picture in range(count)])

    def stages(self, prompt: str, settings: SamplerSettings, batch: int) -> dict[str, Callable[[], object]]:
        """Return the graphs on `batch` pictures' inputs, and one step of the sampler for each picture."""
        feeds = graph_inputs(self.pipeline, prompt, batch, branches=settings.branches)
        if self._embeddings is not None:
            del feeds["text_encoder"]
        graphs = {role: self.pipeline.graph(role) for role in DRAWING_ROLES if role in feeds}
        stages: dict[str, Callable[[], object]] = {role: partial(graph, feeds[role]) for role, graph in graphs.items()}
        return {**stages, "sampler": sampler_step(self.pipeline, settings, batch)}

    def audit(self, prompt: str, settings: SamplerSettings) -> "dict[str, Audit]":
        """Return what the graphs run in; only ONNX Runtime tells."""
        if self.pipeline.bundle.manifest.target != "onnx":
            return {}
        from amused_edge.benchmarks.execution.profiling import audit_bundle

        feeds = graph_inputs(self.pipeline, prompt, branches=settings.branches)
        self.close()
        roles = DRAWING_ROLES if self._embeddings is None else DRAWING_ROLES[1:]
        return audit_bundle(self.pipeline.bundle, {role: feeds[role] for role in roles}, self.engine)

    def peaks(self) -> "Peaks | None":
        """Return the products that the graphs' are held against; of ONNX Runtime."""
        if self.pipeline.bundle.manifest.target != "onnx":
            return None
        from amused_edge.benchmarks.execution.peaks import Peaks
        from amused_edge.runtime.engines.onnx.session import session_options

        return Peaks(session_options(self.engine))

    def _draw_one(self, source: "LogitSource", settings: SamplerSettings, seed: int, picture: int) -> ImageArray:
        return self.decode(draw_tokens(source, self.geometry, settings, seed=seed, picture=picture))

    def _conditioning(self, prompt: str, guided: bool) -> Conditioning:
        prompts = ["", prompt] if guided else [prompt]
        if self._embeddings is None:
            return self.pipeline.condition(prompts)
        conditioner, micro = self.pipeline.graph("conditioner"), self.pipeline.micro_conditions[None]
        return stack([conditioner({**self._embeddings[text], "micro_conditions": micro}) for text in prompts])


def graph_inputs(
    pipeline: AmusedPipeline, prompt: str, batch: int = 1, branches: int = 1
) -> dict[str, dict[str, NDArray[Any]]]:
    """Return inputs of every role: `batch` rows, for the denoiser `branches` times as many, all tokens masked."""
    g = pipeline.geometry
    ids = pipeline.tokenizer([prompt] * batch)
    text = pipeline.graph("text_encoder")({"input_ids": ids[:1]})
    micro = np.repeat(pipeline.micro_conditions[None], batch, axis=0)
    rows = {name: np.repeat(value, batch, axis=0) for name, value in text.items()}
    conditioning = pipeline.graph("conditioner")({**text, "micro_conditions": micro[:1]})
    tokens = np.zeros((batch, g.grid_height, g.grid_width), np.int64)
    return {
        "text_encoder": {"input_ids": ids},
        "conditioner": {**rows, "micro_conditions": micro},
        "denoiser": {
            "tokens": np.repeat(tokens + g.mask_token_id, branches, axis=0),
            **{name: np.repeat(value, batch * branches, axis=0) for name, value in conditioning.items()},
        },
        "image_decoder": {"tokens": tokens},
        "image_encoder": {"image": np.zeros((batch, g.image_height, g.image_width, 3), np.uint8)},
    }


def sampler_step(pipeline: AmusedPipeline, settings: SamplerSettings, batch: int) -> Callable[[], object]:
    """Return all that NumPy does in a step where every token is masked: guidance, noise, draws, masking."""
    g = pipeline.geometry
    masked = np.full((batch, g.grid_height, g.grid_width), g.mask_token_id, np.int64)
    shape = (2, g.grid_height * g.grid_width, g.codebook_size)
    pair = np.random.Generator(np.random.Philox(0)).standard_normal(shape, np.float32)

    def step() -> object:
        def denoise(*_: object) -> NDArray[np.float32]:
            return sampler.guide(pair[0], pair[1], settings.guidance_scale) if settings.guided else pair[0]

        pictures = range(batch)
        return next(mask_predict(denoise, masked, pictures, seed=0, settings=settings, mask_token_id=g.mask_token_id))

    return step


def bundle_specs(
    paths: Sequence[str | Path],
    *,
    embeddings: Path | None = None,
    simulate: Simulation | None = None,
    threads: int | None = None,
) -> list[SubjectSpec]:
    """Return the specs of bundles, labelled by their names, after their files' hashes were checked once.

    Parameters
    ----------
    embeddings
        What to start from in place of prompts, see `BundleSubject`.
    simulate
        How Core ML bundles are evaluated, see `EngineOptions`.
    threads
        Of the engine; None leaves it to the engine.

    Raises
    ------
    BundleError
        One of them is no bundle, or is damaged.
    """
    specs = []
    for path in paths:
        bundle = Bundle.open(path)
        roles = DRAWING_ROLES if embeddings is None else DRAWING_ROLES[1:]
        bundle.fetch_roles(roles)
        if bundle.origin is None:
            verification.verify_once(bundle)
        graphs = {role: bundle.graph(role) for role in bundle.manifest.graphs}
        engine: dict[str, Any] = {} if threads is None else {"threads": threads}
        if bundle.manifest.target == "coreml" and simulate is not None:
            engine["simulate"] = simulate
        arguments: dict[str, Any] = {"path": bundle.address, "engine": engine}
        if embeddings is not None:
            arguments["embeddings"] = str(embeddings.resolve())
        facts = {
            "kind": "bundle",
            "model": bundle.manifest.model.name,
            "target": bundle.manifest.target,
            "recipe": recipe_name(bundle),
            "manifest_sha256": hashlib.sha256((bundle.path / MANIFEST_NAME).read_bytes()).hexdigest(),
            "bytes": {role: graph.bytes for role, graph in graphs.items()},
            "stored": {role: graph.stored_precision for role, graph in graphs.items()},
        }
        files = [bundle.file(entry) for role in roles for entry in graphs[role].files]
        specs.append(SubjectSpec(bundle.name, TARGET, arguments, tuple(files), facts))
    return distinct(specs)


def recipe_name(bundle: Bundle) -> str:
    """Return the name of the recipe that a bundle was made by; "" for one as it was exported."""
    quantization = bundle.manifest.quantization
    return "" if quantization is None else str(quantization.recipe.get("name", ""))


def _read_embeddings(path: str) -> "Embeddings":
    from amused_edge.benchmarks.subjects.embeddings import Embeddings

    return Embeddings.read(Path(path))
