"""How a bundle's graphs draw a picture: its start, its steps, its pixels."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import FloatArray, ImageArray, IntArray
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.drawing.canvas import Canvas
from amused_edge.runtime.drawing.conditioning import (
    Branches,
    Conditioning,
    PromptConditioner,
    micro_conditions,
    rows_of,
)
from amused_edge.runtime.drawing.first_step import FirstStep
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph_store import GraphStore
from amused_edge.runtime.errors import OptionsError, StateError, quoted
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.embeddings import PromptEmbeddings
from amused_edge.runtime.tasks.kinds import Task
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.result import Picture
from amused_edge.runtime.tasks.state import PictureState

IntType = TypeVar("IntType", bound=np.integer[Any])

LOW_MEMORY_BATCH = 16
"""Pictures that are drawn before they are decoded, where one graph is loaded at a time."""

OnStep = Callable[[int, Step], None]
"""Called after every step with the picture's place in the result and the step."""


class Drawing:
    """Draws with the graphs of a bundle; each call may be cancelled, and several threads may make them.

    Parameters
    ----------
    remembered
        How many branches' logits of the first step are kept for prompts that come again.
    """

    def __init__(self, bundle: Bundle, graphs: GraphStore, condition: PromptConditioner, remembered: int) -> None:
        self._bundle = bundle
        self._geometry = bundle.manifest.geometry
        self._graphs = graphs
        self._condition = condition
        self._canvas = Canvas(self._geometry, self.encode)
        self._first_step = FirstStep(remembered)

    def begin(
        self, task: Task, seed: int, settings: SamplerSettings, cancellation: Cancellation | None = None
    ) -> PictureState:
        """Return the first state of the task of one picture."""
        name = self._bundle.manifest.model.name
        parameters = PictureParameters.of(name, self._bundle.sha256, task, seed, settings)
        begun = self._canvas.begin(task, seed, settings, cancellation)
        mask = self._geometry.mask_token_id
        return PictureState.start(parameters, begun.first_step, begun.tokens, mask, begun.starting_mask_ratio)

    def draw(
        self,
        tasks: Sequence[Task],
        seed: int,
        settings: SamplerSettings,
        cancellation: Cancellation | None,
        on_step: Callable[[int, Step], None],
    ) -> Iterator[tuple[PictureState, Task]]:
        """Draw pictures of one prompt one after the other, and yield their finished states.

        `on_step` is called with the picture's place in `tasks`.
        """
        if cancellation is not None:
            cancellation.check()
        first = self.begin(tasks[0], seed, settings, cancellation)
        begun = chain([first], (self.begin(one, seed, settings, cancellation) for one in tasks[1:]))
        if first.next_step == settings.steps:
            yield from zip(begun, tasks, strict=True)
            return
        conditioning = self.conditioning(tasks[0], settings, cancellation)
        with self._graphs.use("denoiser"):
            for index, (state, one) in enumerate(zip(begun, tasks, strict=True)):
                finished = state
                for step in self.steps([state], [conditioning], cancellation):
                    finished = state.after(step)
                    on_step(index, step)
                yield finished, one

    def steps(
        self, states: Sequence[PictureState], conditionings: Sequence[Branches], cancellation: Cancellation | None
    ) -> Iterator[Step]:
        """Run pictures side by side; each makes calls of the denoiser of its own (one for a guidance pair).

        Their seed and settings are the first one's. A picture that is finished stays as it is.
        """
        parameters = states[0].parameters
        first_step = min(state.next_step for state in states)
        if cancellation is not None:
            cancellation.check()
        if first_step == parameters.settings.steps:
            return
        with self._graphs.use("denoiser") as denoiser:
            caches = [
                self._row_cache(denoiser, *each, cancellation) for each in zip(states, conditionings, strict=True)
            ]

            def denoise(index: int, step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
                scale, cache = parameters.settings.guidance_at(step), caches[index]
                if len(rows) == tokens.size:
                    logits = self._first_step(denoiser, tokens, conditionings[index].of(scale), cancellation)
                    return guided(logits, scale)
                if cache is None:
                    return guided_logits(denoiser, tokens, rows, conditionings[index].values, scale, cancellation)
                found = cache(denoiser, step, tokens, conditionings[index].of(scale).values, cancellation)
                return guided([logits[rows] for logits in found], scale)

            yield from mask_predict(
                denoise,
                np.stack([state.tokens for state in states]),
                [state.parameters.task.picture for state in states],
                seed=parameters.seed,
                settings=parameters.settings,
                mask_token_id=self._geometry.mask_token_id,
                starting_mask_ratio=[state.starting_mask_ratio for state in states],
                first_step=first_step,
                probability=np.stack([state.probability for state in states]),
                noise_step=parameters.noise_step,
            )

    def _row_cache(
        self, denoiser: Graph, state: PictureState, conditioning: Branches, cancellation: Cancellation | None
    ) -> RowCache | None:
        """Return what a picture's calls before its state left in its row cache; None where it has none."""
        settings, mask = state.parameters.settings, self._geometry.mask_token_id
        if not settings.row_cache:
            return None
        cache = RowCache(self._bundle.graph("denoiser"), settings.row_cache, mask)
        for step in cache.steps_before(state.next_step):
            tokens = state.tokens_before(step, mask)
            if mask in state.tokens and (tokens != mask).any():
                cache(denoiser, step, tokens, conditioning.of(settings.guidance_at(step)).values, cancellation)
        return cache

    def finish(self, state: PictureState, task: Task, cancellation: Cancellation | None) -> Picture:
        """Return the picture of a finished state."""
        image = self._canvas.finish(task, lambda: self.decode(state.tokens[None], cancellation)[0])
        return Picture(image, state.tokens, state.probability, task.prompts[0], state.parameters)

    def conditioning(self, task: Task, settings: SamplerSettings, cancellation: Cancellation | None = None) -> Branches:
        """Return the conditioning of [negative prompt, prompt] with guidance, else of the prompt alone."""
        self._graphs.load_ahead("conditioner", "denoiser")
        values = task.micro_conditioning or self._bundle.manifest.micro_conditioning
        prompts = [task.negative_prompts[0], task.prompts[0]] if settings.guided else [task.prompts[0]]
        return self._condition.branches(prompts, micro_conditions(self._geometry, values), cancellation)

    def encode(self, images: ImageArray, cancellation: Cancellation | None = None) -> IntArray:
        """Turn pictures (B, H, W, 3) uint8 into tokens (B, h, w) int64, one at a time."""
        images = _grids("images", images, ndim=4)
        with self._graphs.use("image_encoder") as encoder:
            tokens = [call(encoder, {"image": image[None]}, cancellation)["tokens"] for image in images]
        return np.concatenate(tokens).astype(np.int64)

    def decode(self, tokens: IntArray, cancellation: Cancellation | None = None) -> ImageArray:
        """Turn finished tokens (B, h, w) into pictures (B, H, W, 3) uint8, one at a time."""
        tokens = _grids("tokens", tokens, ndim=3)
        if tokens.min() < 0 or tokens.max() >= self._geometry.codebook_size:
            raise OptionsError(
                f"tokens range from {tokens.min()} to {tokens.max()}; the codebook has 0 to "
                f"{self._geometry.codebook_size - 1} (is the picture finished?)"
            )
        with self._graphs.use("image_decoder") as decoder:
            return np.concatenate([call(decoder, {"tokens": grid[None]}, cancellation)["image"] for grid in tokens])

    def check_task(self, task: Task) -> None:
        """Raise `OptionsError` for what this bundle cannot draw, before any graph is loaded."""
        self._canvas.check(task)
        sizes = {spec.name: spec.shape[1:] for spec in self._bundle.graph("conditioner").inputs}
        for prompt in (*task.prompts, *task.negative_prompts):
            if isinstance(prompt, PromptEmbeddings):
                for name in ("hidden_states", "pooled"):
                    found, expected = getattr(prompt, name).shape, tuple(sizes[name])
                    if found != expected:
                        raise OptionsError(
                            f"{name} of prompt embeddings have shape {list(found)}; this bundle takes {list(expected)}"
                        )

    def check_state(self, state: PictureState) -> None:
        """Raise `StateError` if a state cannot have come from this bundle."""
        g, parameters = self._geometry, state.parameters
        if parameters.bundle_sha256 != self._bundle.sha256:
            raise StateError(
                f"the state is of the bundle {quoted(parameters.bundle_name)} with hash "
                f"{parameters.bundle_sha256[:12]}, this one has {self._bundle.sha256[:12]}; use the same bundle"
            )
        known = state.tokens[state.tokens != g.mask_token_id]
        if state.tokens.shape != (g.grid_height, g.grid_width) or ((known < 0) | (known >= g.codebook_size)).any():
            raise StateError("the state holds tokens that the bundle does not have; begin the picture again")
        if state.next_step == parameters.settings.steps and known.size < state.tokens.size:
            raise StateError("the state is finished and has tokens that are masked; begin the picture again")
        since = state.known_since
        if since is not None and ((since < 0) != (state.tokens == g.mask_token_id)).any():
            raise StateError("the state is not sure which of its tokens are masked; begin the picture again")

    def close(self) -> None:
        """Drop what is remembered of prompts and pictures, and remember nothing more."""
        self._condition.close()
        self._canvas.close()
        self._first_step.close()


def guided_logits(
    denoiser: Graph,
    tokens: IntArray,
    rows: IntArray,
    conditioning: Conditioning,
    guidance_scale: float,
    cancellation: Cancellation | None = None,
) -> FloatArray:
    """Return the logits (M, V) of the rows (M,) of one grid (h, w).

    Parameters
    ----------
    conditioning
        Of [negative prompt, prompt], or of the prompt alone.
    guidance_scale
        Above 1, both are asked; else the prompt alone.
    """
    branches = 2 if guidance_scale > 1.0 else 1
    inputs = {"tokens": np.stack([tokens] * branches), **rows_of(conditioning, guidance_scale)}
    logits = call(denoiser, inputs, cancellation)["logits"]
    if len(rows) < tokens.size:
        logits = logits[:, rows]
    return guided(list(logits), guidance_scale)


def guided(logits: Sequence[FloatArray], guidance_scale: float) -> FloatArray:
    """Return the logits (M, V) of one branch, or of two as a guidance scale has them: 1 or less, the prompt's alone."""
    if len(logits) == 1 or guidance_scale <= 1.0:
        return logits[-1]
    return sampler.guide(logits[0], logits[1], guidance_scale)


def _grids(name: str, values: NDArray[IntType], ndim: int) -> NDArray[IntType]:
    """Check that there is at least one grid of whole numbers."""
    values = np.asarray(values)
    if values.ndim != ndim or not values.size or not np.issubdtype(values.dtype, np.integer):
        raise OptionsError(
            f"{name} are {values.dtype} of shape {list(values.shape)}; give whole numbers with {ndim} axes"
        )
    return values
