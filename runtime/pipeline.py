"""The public pipeline: a bundle opened for drawing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from amused_edge.runtime.arrays import FloatArray, ImageArray, IntArray
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import DRAWING_ROLES
from amused_edge.runtime.drawing import starts
from amused_edge.runtime.drawing.conditioning import Conditioning, PromptConditioner, micro_conditions, stack
from amused_edge.runtime.drawing.draw import Drawing, OnStep, guided_logits
from amused_edge.runtime.drawing.row_cache import check_row_cache
from amused_edge.runtime.drawing.task_drawing import TaskDrawing
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.drawing.weighting import encode_text
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph_store import GraphStore, Load
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.system.library_paths import library_path
from amused_edge.runtime.tasks.clip import Clip
from amused_edge.runtime.tasks.clip_state import ClipState, Frame
from amused_edge.runtime.tasks.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.tasks.kinds import Inpainting, Task, TextToImage
from amused_edge.runtime.tasks.result import GenerationResult, Picture
from amused_edge.runtime.tasks.state import PictureState
from amused_edge.runtime.tasks.weights import PromptWeights
from amused_edge.runtime.video.draw import ClipDrawing, OnFrameStep, check_first

PromptsOrTask = Prompt | Sequence[Prompt] | Task


class AmusedPipeline:
    """Draws pictures from a bundle. Graphs are loaded at first use; several threads may use one pipeline.

    Use `from_bundle`; close it, or use it in a `with` block, to release the engine's memory.
    """

    def __init__(self, bundle: Bundle, engine: EngineOptions, *, load: Load = load_graph) -> None:
        self.bundle = bundle
        self.geometry = bundle.manifest.geometry
        library_path(bundle.path)  # engines open what lies there
        self.tokenizer = PromptTokenizer(bundle.tokenizer, self.geometry.text_length)
        if bundle.links and bundle.origin is None:
            verification.verify_once(bundle)
        self.micro_conditions = micro_conditions(self.geometry, bundle.manifest.micro_conditioning)
        self._graphs = GraphStore(bundle, engine, load)
        self._condition = PromptConditioner(self.tokenizer, self._graphs.use, engine.remembered_prompts)
        self._drawing = Drawing(bundle, self._graphs, self._condition, engine.remembered_prompts)
        self._tasks = TaskDrawing(self._drawing, self._graphs)
        self._clips = ClipDrawing(self._drawing, self._graphs, self.geometry)

    @staticmethod
    def from_bundle(
        path: str | Path | Bundle, engine: EngineOptions | None = None, *, verify: bool = True
    ) -> "AmusedPipeline":
        """Open a bundle for drawing.

        Parameters
        ----------
        path
            A folder; a hub id as `Bundle.open` takes it, of which what text to image needs is fetched now, and the
            image encoder when a task first needs it; or an opened bundle.
        engine
            Threads, providers and memory settings.
        verify
            Check the hashes of all files before the first use on this machine; those of the hub and of links into its
            cache are checked in any case.

        Raises
        ------
        BundleError
            The bundle is incomplete or damaged.
        HubError
            The hub does not give it.
        """
        bundle = path if isinstance(path, Bundle) else Bundle.open(path)
        bundle.fetch_roles(DRAWING_ROLES)
        if verify and not bundle.links and bundle.origin is None:
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
        """Release all graphs and what is remembered; the pipeline cannot draw any more."""
        self._graphs.close()
        self._drawing.close()

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
        number; with `keep_graphs` off, up to 16 of a prompt together. Arguments and errors as of `generate`.
        """
        task, options = self._checked(task), options or GenerationOptions()
        return self._tasks.pictures(task, options.seed, self.settings(options, task), on_step, cancellation)

    def finish(
        self, state: PictureState, task: PromptsOrTask | None = None, cancellation: Cancellation | None = None
    ) -> Picture:
        """Decode a finished state, and paste the untouched pixels back where its task asks for it.

        Parameters
        ----------
        task
            As in `resume`.

        Raises
        ------
        StateError
            As of `resume`, or the state is not finished.
        """
        self._drawing.check_state(state)
        if state.next_step != state.parameters.settings.steps:
            raise StateError(
                f"the picture has {state.parameters.settings.steps - state.next_step} steps to go; resume it first"
            )
        return self._drawing.finish(state, state.parameters.restore(_given(task)), cancellation)

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
        task, options = self._checked(task), options or GenerationOptions()
        return self._tasks.steps(task, options.seed, self.settings(options, task), cancellation)

    def begin(self, task: PromptsOrTask, options: GenerationOptions | None = None) -> list[PictureState]:
        """Return the state from which each picture of a task starts. With `PictureState.after` it follows the steps."""
        task, options = self._checked(task), options or GenerationOptions()
        return self._tasks.begin(task, options.seed, self.settings(options, task))

    def resume(
        self, state: PictureState, task: PromptsOrTask | None = None, *, cancellation: Cancellation | None = None
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
        self._drawing.check_state(state)
        return self._tasks.resume(state, state.parameters.restore(_given(task)), cancellation)

    def preview(self, step: Step) -> ImageArray:
        """Return what the pictures of a step would be if they were left as they are, (B, H, W, 3) uint8."""
        return self.decode(step.predicted)

    # --- Moving pictures.

    def video(
        self,
        task: PromptsOrTask,
        clip: Clip | None = None,
        options: GenerationOptions | None = None,
        *,
        on_step: OnFrameStep | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Frame]:
        """Draw a clip and yield each frame when it is finished, so that memory does not grow with their number.

        Parameters
        ----------
        task
            Draws the first frame: a prompt, or a `TextToImage` or `Variation` of one picture.
        clip
            Frames, motion and the like.
        options
            As of `generate`; a schedule is that of the first frame, all others have the linear one.
        on_step
            Called after each step of each frame with the `ClipState` behind it and the step; see `preview`.

        Raises
        ------
        OptionsError, GenerationCancelledError, GraphError, GenerationError
            As of `generate`.
        """
        task, options = self._checked_first(task), options or GenerationOptions()
        settings = self.settings(options, task)
        return self._clips.video(task, clip or Clip(), options.seed, settings, on_step, cancellation)

    def begin_video(
        self, task: PromptsOrTask, clip: Clip | None = None, options: GenerationOptions | None = None
    ) -> ClipState:
        """Return the state from which a clip starts. With `ClipState.after` it follows the steps."""
        task, options = self._checked_first(task), options or GenerationOptions()
        return self._clips.begin(task, clip or Clip(), options.seed, self.settings(options, task))

    def resume_video(
        self,
        state: ClipState,
        task: PromptsOrTask | None = None,
        *,
        on_step: OnFrameStep | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[Frame]:
        """Yield the frames of a clip that are not finished, from the one that was being drawn: the same ones as without
        interruption. `task` and errors are as of `resume`; `state.finished` has the tokens of the frames before.
        """
        self._clips.check_state(state)
        return self._clips.frames(state, state.picture.parameters.restore(_given(task)), on_step, cancellation)

    # --- Parts.

    def settings(self, options: GenerationOptions, task: Task | None = None) -> SamplerSettings:
        """Return the options with what they leave open filled in from the bundle; in-painting's schedule is linear."""
        settings = options.settings(self.bundle.manifest.sampler)
        check_row_cache(settings, self.bundle)
        if isinstance(task, Inpainting) and options.schedule is None:
            return replace(settings, schedule="linear")
        return settings

    def decode(self, tokens: IntArray) -> ImageArray:
        """Turn finished tokens (B, h, w) into pictures (B, H, W, 3) uint8, one at a time."""
        return self._drawing.decode(tokens)

    def encode(self, images: ImageArray) -> IntArray:
        """Turn pictures (B, H, W, 3) uint8 of the bundle's size into tokens (B, h, w) int64, one at a time."""
        return self._drawing.encode(images)

    def embed(self, prompt: str | PromptWeights) -> PromptEmbeddings:
        """Return what the text encoder says of a prompt; it can be given in the prompt's place."""
        with self._graphs.use("text_encoder") as encoder:
            encoded = encode_text(encoder, self.tokenizer, prompt)
        return PromptEmbeddings(encoded["hidden_states"][0], encoded["pooled"][0])

    def condition(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Return the denoiser's conditioning of several prompts, one batch row each."""
        return stack(self._condition(prompts, self.micro_conditions))

    def first_logits(self, prompt: str) -> FloatArray:
        """Return the unguided logits (N, V) of the first step, where every token is masked."""
        masked = starts.all_masked(self.geometry).tokens
        return self.guided_logits(masked, np.arange(masked.size), self.condition([prompt]), 1.0)

    def guided_logits(
        self, tokens: IntArray, rows: IntArray, conditioning: Conditioning, guidance_scale: float
    ) -> FloatArray:
        """Return logits (M, V) of one grid (h, w), see `drawing.guided_logits`."""
        with self._graphs.use("denoiser") as denoiser:
            return guided_logits(denoiser, tokens, rows, conditioning, guidance_scale)

    # --- Inside. The public functions check their arguments at once; what they return runs when the caller iterates.

    def _checked_first(self, task: PromptsOrTask) -> Task:
        """Check that a task can draw the first frame of a clip, and return that of one picture."""
        task = self._checked(task)
        check_first(task)
        return task.single(*task.pictures()[0])

    def _checked(self, task: PromptsOrTask) -> Task:
        """Wrap prompts that were given bare, and check that the bundle can draw them."""
        task = _as_task(task)
        self._drawing.check_task(task)
        return task


def _given(task: PromptsOrTask | None) -> Task | None:
    return None if task is None else _as_task(task)


def _as_task(task: PromptsOrTask) -> Task:
    """Wrap prompts that were given bare."""
    return task if isinstance(task, Task) else TextToImage(task)
