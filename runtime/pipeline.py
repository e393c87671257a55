"""The public pipeline: a bundle opened for drawing."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime import sampler, verification
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.conditioning import Conditioning, PromptConditioner, micro_conditions, stack
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.errors import GraphError, OptionsError
from amused_edge.runtime.image import ImageArray
from amused_edge.runtime.mask_predict import Step, mask_predict
from amused_edge.runtime.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.sampler import FloatArray, IntArray
from amused_edge.runtime.tasks import TextToImage
from amused_edge.runtime.tokenizer import PromptTokenizer

IntType = TypeVar("IntType", bound=np.integer[Any])

Load = Callable[[Bundle, str, EngineOptions], Graph]
"""Loads the graph of a role; whoever measures may put graphs of its own in place of the engine's."""

OnStep = Callable[[int, Step], None]
"""Called after every step with the picture's place in the result and the step."""


@dataclass(frozen=True)
class GenerationResult:
    """Finished pictures, B of them.

    Attributes
    ----------
    images
        (B, H, W, 3) uint8 RGB.
    tokens
        (B, h, w) int64.
    prompts
        Of each picture.
    pictures
        Index of each picture within its prompt.
    seed, settings
        What they were drawn with.
    """

    images: ImageArray
    tokens: IntArray
    prompts: tuple[str, ...]
    pictures: tuple[int, ...]
    seed: int
    settings: SamplerSettings


class AmusedPipeline:
    """Draws pictures from a bundle. Graphs are loaded at first use.

    Use `from_bundle`; close it, or use it in a `with` block, to release the engine's memory.
    """

    def __init__(self, bundle: Bundle, engine: EngineOptions, *, load: Load = load_graph) -> None:
        self.bundle = bundle
        self.geometry = bundle.manifest.geometry
        self.tokenizer = PromptTokenizer(bundle.tokenizer, self.geometry.text_length)
        self._engine = engine
        self._load = load
        self._graphs: dict[str, Graph] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.micro_conditions = micro_conditions(self.geometry, bundle.manifest.micro_conditioning)
        self._condition = PromptConditioner(self.tokenizer, self.graph, self.micro_conditions)

    @staticmethod
    def from_bundle(path: str | Path, engine: EngineOptions | None = None, *, verify: bool = True) -> "AmusedPipeline":
        """Open a bundle for drawing.

        Parameters
        ----------
        engine
            Threads, providers and memory settings.
        verify
            Check the hashes of all files before the first use on this machine.

        Raises
        ------
        BundleError
            The bundle is incomplete or damaged.
        """
        bundle = Bundle.open(path)
        if verify:
            verification.verify_once(bundle)
        return AmusedPipeline(bundle, engine or EngineOptions())

    def __enter__(self) -> "AmusedPipeline":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release all graphs; the pipeline cannot draw any more."""
        with self._lock:
            self._closed = True
            for graph in self._graphs.values():
                graph.close()
            self._graphs.clear()

    def graph(self, role: str) -> Graph:
        """Return the graph of a role, loaded at first use."""
        with self._lock:
            if self._closed:
                raise GraphError("the pipeline was closed; make a new one")
            if role not in self._graphs:
                self._graphs[role] = self._load(self.bundle, role, self._engine)
            return self._graphs[role]

    def generate(
        self,
        task: str | Sequence[str] | TextToImage,
        options: GenerationOptions | None = None,
        *,
        on_step: OnStep | None = None,
    ) -> GenerationResult:
        """Draw all pictures of a task, one after the other.

        Parameters
        ----------
        task
            A prompt, a list of prompts, or a `TextToImage` for negative prompts and several pictures per prompt.
        options
            Seed and sampler settings; what is left open comes from the bundle.
        on_step
            Called after each step of each picture; an exception it raises ends the run.

        Raises
        ------
        OptionsError
            The task or an option is not valid.
        GraphError, GenerationError
            The engine failed.
        """
        task = _as_task(task)
        options = options or GenerationOptions()
        settings = self.settings(options)
        conditionings = _LastConditioning(self._condition, task, settings.guided)
        tokens, images = [], []
        for index, (prompt, picture) in enumerate(task.pictures()):
            for step in self._steps([conditionings(prompt)], [picture], options.seed, settings):
                if on_step is not None:
                    on_step(index, step)
            tokens.append(step.tokens)
            images.append(self.decode(step.tokens))
        return GenerationResult(
            images=np.concatenate(images),
            tokens=np.concatenate(tokens),
            prompts=tuple(task.prompts[prompt] for prompt, _ in task.pictures()),
            pictures=tuple(picture for _, picture in task.pictures()),
            seed=options.seed,
            settings=settings,
        )

    def stream(
        self, task: str | Sequence[str] | TextToImage, options: GenerationOptions | None = None
    ) -> Iterator[Step]:
        """Yield each `Step` of all pictures of a task side by side; stop whenever you like. Arguments as in
        `generate`.
        """
        task = _as_task(task)
        options = options or GenerationOptions()
        settings = self.settings(options)
        prompts = [
            self._condition.branches(prompt, negative, settings.guided)
            for prompt, negative in zip(task.prompts, task.negative_prompts, strict=True)
        ]
        pictures = task.pictures()
        conditionings = [prompts[prompt] for prompt, _ in pictures]
        yield from self._steps(conditionings, [p for _, p in pictures], options.seed, settings)

    def settings(self, options: GenerationOptions) -> SamplerSettings:
        """Return the options with what they leave open filled in from the bundle."""
        return options.settings(self.bundle.manifest.sampler)

    def decode(self, tokens: IntArray) -> ImageArray:
        """Turn finished tokens (B, h, w) into pictures (B, H, W, 3) uint8, one at a time."""
        tokens = _grids("tokens", tokens, ndim=3)
        if tokens.min() < 0 or tokens.max() >= self.geometry.codebook_size:
            raise OptionsError(
                f"tokens range from {tokens.min()} to {tokens.max()}; the codebook has 0 to "
                f"{self.geometry.codebook_size - 1} (is the picture finished?)"
            )
        decoder = self.graph("image_decoder")
        return np.concatenate([decoder({"tokens": grid[None]})["image"] for grid in tokens])

    def encode(self, images: ImageArray) -> IntArray:
        """Turn pictures (B, H, W, 3) uint8 of the bundle's size into tokens (B, h, w) int64, one at a time."""
        images = _grids("images", images, ndim=4)
        encoder = self.graph("image_encoder")
        return np.concatenate([encoder({"image": image[None]})["tokens"] for image in images]).astype(np.int64)

    def condition(self, prompts: Sequence[str]) -> Conditioning:
        """Return the denoiser's conditioning of several prompts, one batch row each."""
        return stack([self._condition(prompt) for prompt in prompts])

    def first_logits(self, prompt: str) -> FloatArray:
        """Return the unguided logits (N, V) of the first step, where every token is masked."""
        masked = self._masked(1)
        logits: FloatArray = self._logits(masked, self._condition(prompt))[0]
        return logits

    def guided_logits(
        self, tokens: IntArray, rows: IntArray, conditioning: Conditioning, settings: SamplerSettings
    ) -> FloatArray:
        """Return the logits (M, V) of the rows (M,) of one grid (h, w): guided if the settings say so, from the
        conditioning of [negative prompt, prompt], else from that of the prompt alone.
        """
        logits = self._logits(np.stack([tokens] * settings.branches), conditioning)[:, rows]
        if settings.guided:
            return sampler.guide(logits[0], logits[1], settings.guidance_scale)
        alone: FloatArray = logits[0]
        return alone

    def _masked(self, count: int) -> IntArray:
        g = self.geometry
        return np.full((count, g.grid_height, g.grid_width), g.mask_token_id, np.int64)

    def _logits(self, tokens: IntArray, conditioning: Conditioning) -> FloatArray:
        logits: FloatArray = self.graph("denoiser")({"tokens": tokens, **conditioning})["logits"]
        return logits

    def _steps(
        self,
        conditionings: Sequence[Conditioning],
        pictures: Sequence[int],
        seed: int,
        settings: SamplerSettings,
    ) -> Iterator[Step]:
        """Run pictures side by side; each makes denoiser calls of its own (a guidance pair is one call)."""

        def denoise(index: int, tokens: IntArray, rows: IntArray) -> FloatArray:
            return self.guided_logits(tokens, rows, conditionings[index], settings)

        return mask_predict(
            denoise,
            self._masked(len(pictures)),
            pictures,
            seed=seed,
            settings=settings,
            mask_token_id=self.geometry.mask_token_id,
        )


class _LastConditioning:
    """Gives the conditioning of a prompt of a task, keeping only the last one: pictures come prompt by prompt."""

    def __init__(self, condition: PromptConditioner, task: TextToImage, guided: bool) -> None:
        self._condition = condition
        self._task = task
        self._guided = guided
        self._index = -1
        self._value: Conditioning = {}

    def __call__(self, index: int) -> Conditioning:
        if index != self._index:
            prompt, negative = self._task.prompts[index], self._task.negative_prompts[index]
            self._value = self._condition.branches(prompt, negative, self._guided)
            self._index = index
        return self._value


def _grids(name: str, values: NDArray[IntType], ndim: int) -> NDArray[IntType]:
    """Check that there is at least one grid of whole numbers."""
    values = np.asarray(values)
    if values.ndim != ndim or not len(values) or not np.issubdtype(values.dtype, np.integer):
        raise OptionsError(
            f"{name} are {values.dtype} of shape {list(values.shape)}; give whole numbers with {ndim} axes"
        )
    return values


def _as_task(task: str | Sequence[str] | TextToImage) -> TextToImage:
    """Wrap prompts that were given bare."""
    return task if isinstance(task, TextToImage) else TextToImage(task)
