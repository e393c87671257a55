"""All pictures of a task: one after the other in batches that memory allows, or their steps side by side."""

from collections.abc import Iterator
from itertools import groupby, islice

from amused_edge.runtime.drawing.draw import LOW_MEMORY_BATCH, Drawing, OnStep
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph_store import GraphStore
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.tasks.kinds import Task
from amused_edge.runtime.tasks.result import Picture
from amused_edge.runtime.tasks.state import PictureState


class TaskDrawing:
    """Draws tasks with a bundle's `Drawing`. Nothing is done before the first picture or step is asked for."""

    def __init__(self, drawing: Drawing, graphs: GraphStore) -> None:
        self._drawing = drawing
        self._graphs = graphs

    def begin(
        self, task: Task, seed: int, settings: SamplerSettings, cancellation: Cancellation | None = None
    ) -> list[PictureState]:
        """Return the state from which each picture of a task starts."""
        return [self._drawing.begin(task.single(*place), seed, settings, cancellation) for place in task.pictures()]

    def pictures(
        self,
        task: Task,
        seed: int,
        settings: SamplerSettings,
        on_step: OnStep | None,
        cancellation: Cancellation | None,
    ) -> Iterator[Picture]:
        """Yield each picture when it is finished; where one graph is loaded at a time, a batch of them together."""
        first = 0
        for batch in _batches(task, None if self._graphs.graphs_stay else LOW_MEMORY_BATCH):

            def stepped(index: int, step: Step, first: int = first) -> None:
                if on_step is not None:
                    on_step(first + index, step)

            alone = [task.single(*place) for place in batch]
            finished = self._drawing.draw(alone, seed, settings, cancellation, stepped)
            first += len(batch)
            if self._graphs.graphs_stay:
                yield from (self._drawing.finish(state, one, cancellation) for state, one in finished)
                continue
            states = list(finished)  # the denoiser goes before the decoder comes
            with self._graphs.use("image_decoder"):
                yield from (self._drawing.finish(state, one, cancellation) for state, one in states)

    def steps(
        self, task: Task, seed: int, settings: SamplerSettings, cancellation: Cancellation | None
    ) -> Iterator[Step]:
        """Yield each step of all pictures side by side; none where no picture needs one."""
        states = self.begin(task, seed, settings, cancellation)
        if all(state.next_step == settings.steps for state in states):
            return
        of_prompt = {
            prompt: self._drawing.conditioning(task.single(prompt, picture), settings, cancellation)
            for prompt, picture in dict(task.pictures()).items()
        }
        conditionings = [of_prompt[prompt] for prompt, _ in task.pictures()]
        yield from self._drawing.steps(states, conditionings, cancellation)

    def resume(self, state: PictureState, task: Task, cancellation: Cancellation | None) -> Iterator[Step]:
        """Yield the steps that one picture still needs."""
        settings = state.parameters.settings
        if state.next_step < settings.steps:
            conditioning = self._drawing.conditioning(task, settings, cancellation)
            yield from self._drawing.steps([state], [conditioning], cancellation)


def _batches(task: Task, most: int | None) -> Iterator[list[tuple[int, int]]]:
    """Split a task's pictures, each as `Task.pictures` gives it, by prompt and into at most so many."""
    size = task.pictures_per_prompt if most is None else min(most, task.pictures_per_prompt)
    for _, of_prompt in groupby(task.pictures(), key=lambda place: place[0]):
        while batch := list(islice(of_prompt, size)):
            yield batch
