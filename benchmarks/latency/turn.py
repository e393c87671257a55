"""One turn of a subject: a process of its own, from its start to its end, watched from outside."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.latency.process import Child, TurnError, child, end, events, expect, next_event, send
from amused_edge.benchmarks.latency.record import PictureTimes, TurnMemory, TurnRecord
from amused_edge.benchmarks.machine.environment import load_average
from amused_edge.benchmarks.machine.memory import MemoryWatch, resident
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings

__all__ = ["TurnError", "Work", "audit_turn", "cold_turn", "warm_turn"]

_process = partial(child, "amused_edge.benchmarks.latency.child")

READ_SHARE = 0.5
"""A load was cold if this share of the files came from the disk, or more."""


@dataclass(frozen=True)
class Work:
    """What a turn does.

    Attributes
    ----------
    settings
        Of the loop: whole pictures are drawn with each, the graphs are timed for the first.
    pictures
        How often a whole picture (with a batch: so many at once) is timed, for each of the settings.
    calls
        How often each stage is timed, after two calls that are not.
    """

    prompt: str
    seed: int
    settings: tuple[SamplerSettings, ...]
    batch: int
    pictures: int
    calls: int


def cold_turn(spec: SubjectSpec) -> TurnRecord:
    """Load with the page cache emptied of the subject's files.

    Raises
    ------
    TurnError
        The process ended with an error.
    """
    dropped = drop_from_page_cache(spec.files)
    with _process(spec, {"mode": "cold"}) as (process, start):
        loaded = expect(process, "loaded")
    read = loaded["bytes_read"]
    cold = dropped and read is not None and 0 < READ_SHARE * spec.bytes <= read
    return TurnRecord(*_load_times(loaded, start)) if cold else TurnRecord()


def warm_turn(spec: SubjectSpec, work: Work) -> TurnRecord:
    """Load, draw and call the stages.

    Raises
    ------
    TurnError
        The process ended with an error.
    """
    job = {"mode": "warm", **asdict(work)}
    load = load_average()
    with _process(spec, job) as (process, start), MemoryWatch(process.pid) as watch:
        loaded = expect(process, "loaded")
        held = resident(process.pid)
        send(process, "go")
        first = expect(process, "warm")["seconds"]
        pictures = tuple(_pictures(process))
        peak = watch.end()
        send(process, "go")
        told = list(events(process))
        end(process)
    return TurnRecord(
        *_load_times(loaded, start),
        first=first,
        load_average=load,
        pictures=pictures,
        stages={event["name"]: event["seconds"] for event in told},
        peaks={event["name"]: event["peaks"] for event in told},
        memory=TurnMemory(held, peak),
    )


def audit_turn(spec: SubjectSpec, work: Work) -> dict[str, Any]:
    """Return stage -> fields of each `Operator` that ran, from the engine's profile of calls that nobody times.

    Raises
    ------
    TurnError
        The process ended with an error.
    """
    with _process(spec, {"mode": "audit", **asdict(work)}) as (process, _):
        operators: dict[str, Any] = expect(process, "audit")["operators"]
    return operators


def drop_from_page_cache(files: Sequence[Path]) -> bool:
    """Ask the system to forget the files' content; returns whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # only clean pages are dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return True


def _load_times(loaded: dict[str, Any], start: float) -> tuple[float, float]:
    """Return the seconds of `ready` and `load` of a `TurnRecord`."""
    return loaded["loaded"] - start, loaded["loaded"] - loaded["imported"]


def _pictures(process: Child) -> Iterator[PictureTimes]:
    """Yield what was drawn until the process tells of something else."""
    while (event := next_event(process))["event"] == "picture":
        yield PictureTimes(event["steps"], event["guidance_scale"], event["seconds"])
