"""One job of a bundle at a time, places told, ends heeded; the work is a fake that waits for the test."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from amused_edge.runtime import Cancellation, GenerationError, GraphError
from amused_edge.serve import limits
from amused_edge.serve.drawing.jobs import Event, FullError, Job, Lines, Tell


class Slow:
    """Work that lasts until it is told to go on, and counts how much of it there is at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = self.most = self.done = 0

    def __call__(self, tell: Tell, cancellation: Cancellation) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while not self.go.wait(0.002):
                cancellation.check()
            tell(Event("picture", {}))
            self.done += 1
        finally:
            self.running -= 1


async def names(job: Job) -> list[str]:
    return [event.name async for event in job.events()]


def run(test: Callable[[Lines, Slow], Any], places: int = 3) -> None:
    async def inside() -> None:
        lines = Lines(["a", "b"], places)
        await asyncio.wait_for(test(lines, Slow()), 10)
        await lines.close()

    asyncio.run(inside())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_one_after_the_other_and_everyone_knows_the_place() -> None:
    async def test(lines: Lines, slow: Slow) -> None:
        first = lines.enter("a", slow)
        await until(lambda: slow.running == 1)
        others = [lines.enter("a", slow) for _ in range(3)]
        places = [(await anext(job.events())).content["position"] for job in others]
        assert places == [1, 2, 3]
        with pytest.raises(FullError):
            lines.enter("a", slow)
        other = Slow()
        other.go.set()
        assert (await names(lines.enter("b", other)))[-1] == "done"  # another bundle does not wait
        slow.go.set()
        assert await names(first) == ["queued", "picture", "done"]
        assert [await names(job) for job in others] == [["queued", "picture", "done"]] * 3
        assert (slow.most, slow.done) == (1, 4)

    run(test)


def test_who_leaves_the_line_is_never_drawn_and_the_others_move_up() -> None:
    async def test(lines: Lines, slow: Slow) -> None:
        lines.enter("a", slow)
        await until(lambda: slow.running == 1)
        second, third = lines.enter("a", slow), lines.enter("a", slow)
        assert lines.leave(second.id)
        assert not lines.leave(second.id)
        assert (await anext(third.events())).content["position"] == 1
        assert await names(second) == ["queued", "error"]
        slow.go.set()
        assert await names(third) == ["queued", "picture", "done"]  # none are before it any more
        assert slow.done == 2

    run(test)


def test_a_job_that_is_drawn_stops_and_the_next_begins() -> None:
    async def test(lines: Lines, slow: Slow) -> None:
        first = lines.enter("a", slow)
        await until(lambda: slow.running == 1)
        second = lines.enter("a", other := Slow())
        lines.leave(first.id)
        assert await names(first) == ["queued", "error"]
        await until(lambda: other.running == 1)
        assert (slow.running, slow.done) == (0, 0)
        other.go.set()
        assert (await names(second))[-1] == "done"

    run(test)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GenerationError("logits are not finite"), "logits are not finite"),
        (GraphError("cannot load /home/someone/denoiser.onnx"), "GraphError; the server's terminal says more"),
        (KeyError("x"), "internal error; the server's terminal says more"),
    ],
)
def test_a_failure_is_told_and_holds_nobody_up(error: Exception, said: str) -> None:
    def fail(tell: Tell, cancellation: Cancellation) -> None:
        raise error

    async def test(lines: Lines, slow: Slow) -> None:
        slow.go.set()
        first, second = lines.enter("a", fail), lines.enter("a", slow)
        *_, last = [event async for event in first.events()]
        assert last.name == "error"
        assert said in last.content["message"]
        assert (await names(second))[-1] == "done"

    run(test)


def test_closing_ends_all_and_takes_no_more() -> None:
    async def test(lines: Lines, slow: Slow) -> None:
        jobs = [lines.enter("a", slow), lines.enter("a", slow)]
        await until(lambda: slow.running == 1)
        await lines.close()
        assert slow.running == 0
        assert [(await names(job))[-1] for job in jobs] == ["error", "error"]
        with pytest.raises(FullError):
            lines.enter("a", slow)

    run(test)


def test_a_client_that_reads_nothing_costs_little() -> None:
    """Each step may carry a picture; the newest stay, and so does everything else."""

    async def test() -> None:
        job = Job(lambda tell, cancellation: None)
        for step in range(1000):
            job.tell(Event("queued", {"position": 1000 - step}))
            job.tell(Event("step", {"step": step}))
        job.tell(Event("picture", {}))
        job.tell(Event("done", {}))
        told = [event async for event in job.events()]
        steps = [event.content["step"] for event in told if event.name == "step"]
        assert steps == list(range(1000 - limits.WAITING_STEPS, 1000))
        assert [event.name for event in told[-2:]] == ["picture", "done"]

    asyncio.run(test())
