"""Who waits for a bundle, and what is told meanwhile: one job of a bundle at a time, the others in line.

All of it lives in the event loop's thread, but for the work itself, which has a thread of its own. It knows no HTTP and
no pictures.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.errors import AmusedEdgeError
from amused_edge.serve import limits
from amused_edge.serve.errors import told_of

logger = logging.getLogger(__name__)

FINAL = ("done", "error")
"""Events after which there is none."""


@dataclass(frozen=True)
class Event:
    """Something that is told of a job: "queued", "step", "picture", or one of `FINAL`."""

    name: str
    content: Mapping[str, Any]
    error: Exception | None = None


Tell = Callable[[Event], None]
Work = Callable[[Tell, Cancellation], None]
"""What a job does, in a thread of its own: tells of steps and pictures, and raises where it fails."""


class FullError(Exception):
    """So many wait already that no more are taken."""


class Job:
    """One request on its way through a line."""

    def __init__(self, work: Work) -> None:
        self.id = secrets.token_urlsafe(9)
        self.work = work
        self.cancellation = Cancellation()
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._place: int | None = None

    def tell_place(self, place: int) -> None:
        """Tell how many jobs come before this one, where that is news."""
        if place != self._place:
            self._place = place
            self.tell(Event("queued", {"job": self.id, "position": place}))

    def tell(self, event: Event) -> None:
        """Keep an event until it is fetched; of places and steps only the newest."""
        if self._ended:
            return
        self._ended = event.name in FINAL
        if event.name == "queued" and self._events and self._events[-1].name == "queued":
            self._events.pop()
        waiting = [each for each in self._events if each.name == "step"]
        if event.name == "step" and len(waiting) >= limits.WAITING_STEPS:
            self._events.remove(waiting[0])
        self._events.append(event)
        self._news.set()

    async def events(self) -> AsyncIterator[Event]:
        """Yield what is told, up to the last event."""
        while True:
            while self._events:
                event = self._events.popleft()
                yield event
                if event.name in FINAL:
                    return
            self._news.clear()
            await self._news.wait()


class Line:
    """The jobs of one bundle, done one after the other.

    Parameters
    ----------
    places
        How many may wait behind the one that is done.
    """

    def __init__(self, places: int = limits.PLACES) -> None:
        self._places = places
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._runner: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1)

    def enter(self, job: Job) -> None:
        """Put a job at the end of the line; raises `FullError`."""
        if len(self._waiting) >= self._places:
            raise FullError
        self._waiting.append(job)
        self._tell_places()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())

    def leave(self, job: Job) -> None:
        """End a job, wherever it is; one that is being done stops within the operator that its engine runs."""
        job.cancellation.cancel()
        if job in self._waiting:
            self._waiting.remove(job)
            self._tell_places()
        job.tell(Event("error", {"type": "GenerationCancelledError", "message": "the generation was cancelled"}))

    async def close(self) -> None:
        """End all jobs, wait until none is done any more, and take no others."""
        self._places = 0
        for job in [*self._waiting, *([self._current] if self._current else [])]:
            self.leave(job)
        if self._runner is not None:
            await self._runner
        self._thread.shutdown()

    def _tell_places(self) -> None:
        before = 0 if self._current is None else 1
        for place, job in enumerate(self._waiting):
            job.tell_place(before + place)

    async def _run(self) -> None:
        while self._waiting:
            self._current = job = self._waiting.popleft()
            job.tell_place(0)
            self._tell_places()
            await _do(job, self._thread)
            self._current = None
        self._runner = None


async def _do(job: Job, thread: Executor) -> None:
    """Do a job's work in a thread; what it raises is the job's last event."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        loop.call_soon_threadsafe(job.tell, event)

    try:
        await loop.run_in_executor(thread, job.work, tell, job.cancellation)
        job.tell(Event("done", {}))
    except Exception as error:  # a fault of ours must not hold up the line
        if isinstance(error, AmusedEdgeError):
            said = told_of(error)
        else:
            logger.exception("a picture could not be drawn")
            said = "internal error; the server's terminal says more"
        job.tell(Event("error", {"type": type(error).__name__, "message": said}, error))


class Lines:
    """The lines of all bundles, and where each job is."""

    def __init__(self, names: list[str], places: int = limits.PLACES) -> None:
        self._lines = {name: Line(places) for name in names}
        self._jobs: dict[str, tuple[Job, Line]] = {}

    def enter(self, name: str, work: Work) -> Job:
        """Put work into the line of a bundle; raises `FullError`. Whoever enters must `leave`."""
        job, line = Job(work), self._lines[name]
        line.enter(job)
        self._jobs[job.id] = (job, line)
        return job

    def leave(self, id: str) -> bool:
        """End a job, if it has not ended; return whether it was there."""
        found = self._jobs.pop(id, None)
        if found is not None:
            job, line = found
            line.leave(job)
        return found is not None

    def __len__(self) -> int:
        return len(self._jobs)

    async def close(self) -> None:
        """End all jobs."""
        for line in self._lines.values():
            await line.close()
