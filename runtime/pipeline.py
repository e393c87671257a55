"""The public pipeline: a bundle opened for drawing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime import sampler, start, verification
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.cancellation import Cancellation
from amused_edge.runtime.canvas import Canvas
from amused_edge.runtime.conditioning import Conditioning, PromptConditioner, micro_conditions, stack
from amused_edge.runtime.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.engines import EngineOptions, Graph, call, load_graph
from amused_edge.runtime.errors import OptionsError, StateError
from amused_edge.runtime.graph_store import GraphStore, Load
from amused_edge.runtime.mask_predict import Step, mask_predict
from amused_edge.runtime.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.parameters import PictureParameters
from amused_edge.runtime.pictures.arrays import ImageArray
from amused_edge.runtime.result import GenerationResult, Picture
from amused_edge.runtime.sampler import FloatArray, IntArray
from amused_edge.runtime.state import PictureState
from amused_edge.runtime.tasks import Inpainting, Task, TextToImage
from amused_edge.runtime.tokenizer import PromptTokenizer

IntType = TypeVar("IntType", bound=np.integer[Any])

OnStep = Callable[[int, Step], None]
"""Called after every step with the picture's place in the result and the step."""

PromptsOrTask = Prompt | Sequence[Prompt] | Task


class AmusedPipeline:
    """Draws pictures from a bundle. Graphs are loaded at first use; several threads may use one pipeline.

    Use `from_bundle`; close it, or use it in a `with` block, to release the engine's memory.
    """

    def __init__(self, bundle: Bundle, engine: EngineOptions, *, load: Load = load_graph) -> None:
        self.bundle = bundle
        self.geometry = bundle.manifest.geometry
        self.tokenizer = PromptTokenizer(bundle.tokenizer, self.geometry.text_length)
        self.micro_conditions = micro_conditions(self.geometry, bundle.manifest.micro_conditioning)
        self._keep_graphs = engine.keep_graphs
        self._graphs = GraphStore(bundle, engine, load)
        self._condition = PromptConditioner(self.tokenizer, self._graphs.use, engine.remembered_prompts)
        self._canvas = Canvas(self.geometry, self.encode)

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
        self._graphs.close()

    def graph(self, role: str) -> Graph:
        """Return the graph of a role, which stays loaded until the pipeline is closed."""
        return self._graphs.keep(role)

    # --- Whole pictures.

    def generate(
        self,
        task: PromptsOrTask,
        options: GenerationOptions | None = None,
        *,
        on_step: OnStep | None = None,
        cancellation: Cancellation | None = None,
    ) -> GenerationResult:
        """Draw all pictures of a task, one after the other.

        Parameters
        ----------
        task
            A prompt, a list of prompts, or a `TextToImage`, `Variation` or `Inpainting`.
        options
            Seed and sampler settings; what is left open comes from the bundle.
        on_step
            Called after each step of each picture; an exception it raises ends the run.
        cancellation
            Stops the run from another thread.

        Raises
        ------
        OptionsError
            The task or an option is not valid.
        GenerationCancelledError
            `cancellation` was asked to stop.
        GraphError, GenerationError
            The engine failed.
        """
        task, options = _as_task(task), options or GenerationOptions()
        drawn = list(self.pictures(task, options, on_step=on_step, cancellation=cancellation))
        return GenerationResult.of(task, drawn, options.seed, self.settings(options, task))

    def pictures(
        self,
        task: PromptsOrTask,
        options: GenerationOptions | None = None,
        *,
        on_step: OnStep | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Picture]:
        """Draw the pictures of a task and yield each when it is finished, so that memory does not grow with their
        number. Arguments and errors as of `generate`.
        """
        task, options = _as_task(task), options or GenerationOptions()
        settings = self.settings(options, task)
        places = task.pictures()
        for first in range(0, len(places), task.pictures_per_prompt):
            alone = [task.single(*place) for place in places[first : first + task.pictures_per_prompt]]
            finished = self._draw(alone, options.seed, settings, first, on_step, cancellation)
            if self._keep_graphs:
                yield from (self.finish(state, one, cancellation) for state, one in finished)
                continue
            states = list(finished)  # the denoiser goes before the decoder comes
            with self._graphs.use("image_decoder"):
                yield from (self.finish(state, one, cancellation) for state, one in states)

    def finish(
        self, state: PictureState, task: Task | None = None, cancellation: Cancellation | None = None
    ) -> Picture:
        """Decode a finished state, and paste the untouched pixels back where its task asks for it.

        Parameters
        ----------
        task
            As in `resume`.
        """
        one = state.parameters.restore(task)
        image = self._canvas.finish(one, lambda: self._decode(state.tokens[None], cancellation)[0])
        return Picture(image, state.tokens, state.probability, one.prompts[0], state.parameters)

    # --- Step by step.

    def stream(
        self,
        task: PromptsOrTask,
        options: GenerationOptions | None = None,
        *,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Step]:
        """Yield each `Step` of all pictures of a task side by side; stop whenever you like.

        Arguments as in `generate`. A variation or in-painting that needs no step yields none.
        """
        task = _as_task(task)
        states = self.begin(task, options)
        if states[0].next_step == states[0].parameters.settings.steps:
            return
        alone = [task.single(*place) for place in task.pictures()]
        yield from self._steps(
            states, [self._conditioning(one, states[0], cancellation) for one in alone], cancellation
        )

    def begin(self, task: PromptsOrTask, options: GenerationOptions | None = None) -> list[PictureState]:
        """Return the state from which each picture of a task starts. With `PictureState.after` it follows the steps."""
        task, options = _as_task(task), options or GenerationOptions()
        settings = self.settings(options, task)
        return [self._begin(task.single(*place), options.seed, settings) for place in task.pictures()]

    def resume(
        self, state: PictureState, task: Task | None = None, *, cancellation: Cancellation | None = None
    ) -> Iterator[Step]:
        """Yield the steps that a picture still needs: the same ones as without interruption.

        Parameters
        ----------
        task
            The picture's task, or one of several pictures, where it has pictures or embeddings, which a state does not
            hold.

        Raises
        ------
        StateError
            The state belongs to another bundle or task, or something must be given again.
        """
        self._check(state)
        one = state.parameters.restore(task)
        if state.next_step == state.parameters.settings.steps:
            return
        yield from self._steps([state], [self._conditioning(one, state, cancellation)], cancellation)

    def preview(self, step: Step) -> ImageArray:
        """Return what the pictures of a step would be if they were left as they are, (B, H, W, 3) uint8."""
        return self.decode(step.predicted)

    # --- Parts.

    def settings(self, options: GenerationOptions, task: Task | None = None) -> SamplerSettings:
        """Return the options with what they leave open filled in from the bundle; in-painting's schedule is linear."""
        settings = options.settings(self.bundle.manifest.sampler)
        if isinstance(task, Inpainting) and options.schedule is None:
            return replace(settings, schedule="linear")
        return settings

    def decode(self, tokens: IntArray) -> ImageArray:
        """Turn finished tokens (B, h, w) into pictures (B, H, W, 3) uint8, one at a time."""
        return self._decode(_grids("tokens", tokens, ndim=3), None)

    def encode(self, images: ImageArray) -> IntArray:
        """Turn pictures (B, H, W, 3) uint8 of the bundle's size into tokens (B, h, w) int64, one at a time."""
        images = _grids("images", images, ndim=4)
        with self._graphs.use("image_encoder") as encoder:
            return np.concatenate([encoder({"image": image[None]})["tokens"] for image in images]).astype(np.int64)

    def embed(self, prompt: str) -> PromptEmbeddings:
        """Return what the text encoder says of a prompt; it can be given in the prompt's place."""
        with self._graphs.use("text_encoder") as encoder:
            encoded = encoder({"input_ids": self.tokenizer([prompt])})
        return PromptEmbeddings(encoded["hidden_states"][0], encoded["pooled"][0])

    def condition(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Return the denoiser's conditioning of several prompts, one batch row each."""
        return stack(self._condition(prompts, self.micro_conditions))

    def first_logits(self, prompt: str) -> FloatArray:
        """Return the unguided logits (N, V) of the first step, where every token is masked."""
        masked = start.all_masked(self.geometry).tokens
        return self.guided_logits(masked, np.arange(masked.size), self.condition([prompt]), 1.0)

    def guided_logits(
        self, tokens: IntArray, rows: IntArray, conditioning: Conditioning, guidance_scale: float
    ) -> FloatArray:
        """Return the logits (M, V) of the rows (M,) of one grid (h, w).

        Parameters
        ----------
        conditioning
            Of [negative prompt, prompt], or of the prompt alone.
        guidance_scale
            Above 1, both are asked; else the prompt alone.
        """
        with self._graphs.use("denoiser") as denoiser:
            return _guided_logits(denoiser, tokens, rows, conditioning, guidance_scale, None)

    # --- Inside.

    def _draw(
        self,
        tasks: Sequence[Task],
        seed: int,
        settings: SamplerSettings,
        first: int,
        on_step: OnStep | None,
        cancellation: Cancellation | None,
    ) -> Iterator[tuple[PictureState, Task]]:
        """Draw pictures of one prompt one after the other, and yield their finished states."""
        states = [self._begin(one, seed, settings) for one in tasks]
        if states[0].next_step == settings.steps:
            yield from zip(states, tasks, strict=True)
            return
        conditioning = self._conditioning(tasks[0], states[0], cancellation)
        with self._graphs.use("denoiser"):
            for index, (begun, one) in enumerate(zip(states, tasks, strict=True), start=first):
                state = begun
                for step in self._steps([begun], [conditioning], cancellation):
                    state = begun.after(step)
                    if on_step is not None:
                        on_step(index, step)
                yield state, one

    def _steps(
        self, states: Sequence[PictureState], conditionings: Sequence[Conditioning], cancellation: Cancellation | None
    ) -> Iterator[Step]:
        """Run pictures side by side; each makes denoiser calls of its own (a guidance pair is one call)."""
        parameters = states[0].parameters
        with self._graphs.use("denoiser") as denoiser:

            def denoise(index: int, step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
                scale = parameters.settings.guidance_at(step)
                return _guided_logits(denoiser, tokens, rows, conditionings[index], scale, cancellation)

            yield from mask_predict(
                denoise,
                np.stack([state.tokens for state in states]),
                [state.parameters.task["picture"] for state in states],
                seed=parameters.seed,
                settings=parameters.settings,
                mask_token_id=self.geometry.mask_token_id,
                starting_mask_ratio=[state.starting_mask_ratio for state in states],
                first_step=states[0].next_step,
                probability=np.stack([state.probability for state in states]),
            )

    def _begin(self, task: Task, seed: int, settings: SamplerSettings) -> PictureState:
        """Return the first state of the task of one picture."""
        manifest = self.bundle.manifest
        parameters = PictureParameters.of(manifest.model.name, self.bundle.sha256, task, seed, settings)
        beginning = self._canvas.start(task, seed, settings)
        ones = np.ones(beginning.tokens.shape, np.float32)
        return PictureState(parameters, beginning.first_step, beginning.tokens, ones, beginning.starting_mask_ratio)

    def _conditioning(self, task: Task, state: PictureState, cancellation: Cancellation | None) -> Conditioning:
        """Return the conditioning of [negative prompt, prompt] with guidance, else of the prompt alone."""
        micro = self.micro_conditions
        if task.micro_conditioning is not None:
            micro = micro_conditions(self.geometry, task.micro_conditioning)
        guided = state.parameters.settings.guided
        prompts = [task.negative_prompts[0], task.prompts[0]] if guided else [task.prompts[0]]
        return stack(self._condition(prompts, micro, cancellation))

    def _decode(self, tokens: IntArray, cancellation: Cancellation | None) -> ImageArray:
        if tokens.min() < 0 or tokens.max() >= self.geometry.codebook_size:
            raise OptionsError(
                f"tokens range from {tokens.min()} to {tokens.max()}; the codebook has 0 to "
                f"{self.geometry.codebook_size - 1} (is the picture finished?)"
            )
        with self._graphs.use("image_decoder") as decoder:
            return np.concatenate([call(decoder, {"tokens": grid[None]}, cancellation)["image"] for grid in tokens])

    def _check(self, state: PictureState) -> None:
        """Check that a state may have come from this bundle."""
        g = self.geometry
        if state.parameters.bundle_sha256 != self.bundle.sha256:
            raise StateError(
                f"the state is of the bundle {state.parameters.bundle_name!r} with hash "
                f"{state.parameters.bundle_sha256[:12]}, this one has {self.bundle.sha256[:12]}; use the same bundle"
            )
        known = state.tokens[state.tokens != g.mask_token_id]
        if state.tokens.shape != (g.grid_height, g.grid_width) or ((known < 0) | (known >= g.codebook_size)).any():
            raise StateError("the state holds tokens that the bundle does not have; begin the picture again")


def _guided_logits(
    denoiser: Graph,
    tokens: IntArray,
    rows: IntArray,
    conditioning: Conditioning,
    guidance_scale: float,
    cancellation: Cancellation | None,
) -> FloatArray:
    """See `AmusedPipeline.guided_logits`."""
    if guidance_scale <= 1.0:
        conditioning = {name: value[-1:] for name, value in conditioning.items()}
    branches = 2 if guidance_scale > 1.0 else 1
    logits = call(denoiser, {"tokens": np.stack([tokens] * branches), **conditioning}, cancellation)["logits"][:, rows]
    if branches == 2:
        return sampler.guide(logits[0], logits[1], guidance_scale)
    alone: FloatArray = logits[0]
    return alone


def _grids(name: str, values: NDArray[IntType], ndim: int) -> NDArray[IntType]:
    """Check that there is at least one grid of whole numbers."""
    values = np.asarray(values)
    if values.ndim != ndim or not len(values) or not np.issubdtype(values.dtype, np.integer):
        raise OptionsError(
            f"{name} are {values.dtype} of shape {list(values.shape)}; give whole numbers with {ndim} axes"
        )
    return values


def _as_task(task: PromptsOrTask) -> Task:
    """Wrap prompts that were given bare."""
    return task if isinstance(task, Task) else TextToImage(task)
