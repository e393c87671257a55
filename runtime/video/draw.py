"""The loop over a clip's frames."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.checks import present
from amused_edge.runtime.drawing.conditioning import Branches
from amused_edge.runtime.drawing.draw import LOW_MEMORY_BATCH, Drawing
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph_store import GraphStore
from amused_edge.runtime.errors import OptionsError, StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.clip import Clip, ClipFrame
from amused_edge.runtime.tasks.clip_state import ClipState, Frame
from amused_edge.runtime.tasks.kinds import Inpainting, Task
from amused_edge.runtime.tasks.result import Picture
from amused_edge.runtime.tasks.state import PictureState
from amused_edge.runtime.video.starts import frame_start

OnFrameStep = Callable[[ClipState, Step], None]
"""Called after every step of every frame with the state that stands behind it."""


class ClipDrawing:
    """Draws clips with a bundle's `Drawing`; each call may be cancelled."""

    def __init__(self, drawing: Drawing, graphs: GraphStore, geometry: Geometry) -> None:
        self._drawing = drawing
        self._graphs = graphs
        self._geometry = geometry

    def begin(
        self, task: Task, clip: Clip, seed: int, settings: SamplerSettings, cancellation: Cancellation | None = None
    ) -> ClipState:
        """Return the state from which a clip starts."""
        picture = self._drawing.begin(task, seed, settings, cancellation)
        place = ClipFrame(clip, 0, settings.schedule)
        none = np.empty((0, *picture.tokens.shape), np.int64)
        return ClipState(none, replace(picture, parameters=replace(picture.parameters, clip=place)))

    def video(
        self,
        task: Task,
        clip: Clip,
        seed: int,
        settings: SamplerSettings,
        on_step: OnFrameStep | None,
        cancellation: Cancellation | None,
    ) -> Iterator[Frame]:
        """Draw a whole clip, as `frames`; nothing is done before the first is asked for."""
        yield from self.frames(self.begin(task, clip, seed, settings, cancellation), task, on_step, cancellation)

    def frames(
        self, state: ClipState, task: Task, on_step: OnFrameStep | None, cancellation: Cancellation | None
    ) -> Iterator[Frame]:
        """Draw the frames of a clip from its state on, and yield each when it is finished."""
        if cancellation is not None:
            cancellation.check()
        conditioning = self._drawing.conditioning(task, state.picture.parameters.settings, cancellation)
        finished = self._finished(state, conditioning, on_step, cancellation)
        if self._graphs.graphs_stay:
            yield from (self._frame(ended, task, cancellation) for ended in finished)
            return
        while True:
            with self._graphs.use("denoiser"):
                states = list(islice(finished, LOW_MEMORY_BATCH))
            if not states:
                return
            with self._graphs.use("image_decoder"):
                yield from (self._frame(ended, task, cancellation) for ended in states)

    def check_state(self, state: ClipState) -> None:
        """Raise `StateError` if a state cannot have come from this bundle."""
        self._drawing.check_state(state.picture)
        tokens, codes = state.finished, self._geometry.codebook_size
        if len(tokens) != state.place.frame or ((tokens < 0) | (tokens >= codes)).any():
            raise StateError("the state holds frames that the bundle cannot have drawn; begin the clip again")

    def _finished(
        self,
        state: ClipState,
        conditioning: Branches,
        on_step: OnFrameStep | None,
        cancellation: Cancellation | None,
    ) -> Iterator[ClipState]:
        """Yield the state at the end of each frame."""
        while True:
            for step in self._drawing.steps([state.picture], [conditioning], cancellation):
                state = state.after(step)
                if on_step is not None:
                    on_step(state, step)
            yield state
            if state.is_finished:
                return
            state = self._next(state)

    def _next(self, state: ClipState) -> ClipState:
        """Return where the frame after a finished one starts."""
        finished = np.concatenate([state.finished, state.picture.tokens[None]])
        parameters = state.parameters_of(len(finished))
        place, mask = present(parameters.clip, "the clip of a clip's state"), self._geometry.mask_token_id
        seed, picture = parameters.seed, parameters.task.picture
        start = frame_start(finished[-1], finished[0], place, mask, seed=seed, picture=picture)
        first_step = start.first_step if (start.tokens == mask).any() else parameters.settings.steps
        return ClipState(
            finished, PictureState.start(parameters, first_step, start.tokens, mask, start.starting_mask_ratio)
        )

    def _frame(self, state: ClipState, task: Task, cancellation: Cancellation | None) -> Frame:
        """Decode a frame."""
        image = self._drawing.decode(state.picture.tokens[None], cancellation)[0]
        ended = state.picture
        picture = Picture(image, ended.tokens, ended.probability, task.prompts[0], ended.parameters)
        return Frame(state.place.frame, picture, state)


def check_first(task: Task) -> None:
    """Raise `OptionsError` if the first frame of a clip cannot come from a task."""
    if isinstance(task, Inpainting):
        raise OptionsError("a clip cannot start from an in-painting; paint the picture first, then start from it")
    if len(task.pictures()) != 1:
        raise OptionsError(f"a clip was asked of {len(task.pictures())} pictures; give one prompt, one picture of it")
