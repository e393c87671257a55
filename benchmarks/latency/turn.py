"""One turn of a subject: a process of its own, from its start to its end, watched from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from amused_edge.benchmarks.latency.record import PictureTimes, TurnMemory, TurnRecord
from amused_edge.benchmarks.machine.environment import load_average
from amused_edge.benchmarks.machine.memory import MemoryWatch, resident
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import one_line
from amused_edge.runtime.sampling.options import SamplerSettings

_Process = subprocess.Popen[str]

READ_SHARE = 0.5
"""A load was cold if this share of the files came from the disk, or more."""


class TurnError(Exception):
    """The process ended with an error; the message says which."""


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
        loaded = _expect(process, "loaded")
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
        loaded = _expect(process, "loaded")
        held = resident(process.pid)
        _send(process, "go")
        first = _expect(process, "warm")["seconds"]
        pictures = tuple(_pictures(process))
        peak = watch.end()
        _send(process, "go")
        events = list(_events(process))
        _end(process)
    return TurnRecord(
        *_load_times(loaded, start),
        first=first,
        load_average=load,
        pictures=pictures,
        stages={event["name"]: event["seconds"] for event in events},
        peaks={event["name"]: event["peaks"] for event in events},
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
        operators: dict[str, Any] = _expect(process, "audit")["operators"]
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


def _pictures(process: _Process) -> Iterator[PictureTimes]:
    """Yield what was drawn until the process tells of something else."""
    while (event := _next(process))["event"] == "picture":
        yield PictureTimes(event["steps"], event["guidance_scale"], event["seconds"])


@contextlib.contextmanager
def _process(spec: SubjectSpec, job: dict[str, Any]) -> Iterator[tuple[_Process, float]]:
    """Start a subject's process, and see that it ends with the block."""
    command = [sys.executable, "-m", "amused_edge.benchmarks.latency.child"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        try:
            _send(process, json.dumps({**job, "target": spec.target, "arguments": spec.arguments}))
            yield process, start
            _end(process)
        except (_EndedError, BrokenPipeError, ProcessLookupError) as error:
            raise TurnError(_explain(process, errors)) from error
        finally:
            process.kill()
            process.communicate()


class _EndedError(Exception):
    """The process ended before it should."""


def _send(process: _Process, line: str) -> None:
    if process.stdin is None:
        raise _EndedError
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _events(process: _Process) -> Iterator[dict[str, Any]]:
    """Yield events until the process closes its end."""
    for line in process.stdout or ():
        yield json.loads(line)


def _next(process: _Process) -> dict[str, Any]:
    for event in _events(process):
        return event
    raise _EndedError


def _expect(process: _Process, name: str) -> dict[str, Any]:
    event = _next(process)
    if event["event"] != name:
        raise _EndedError
    return event


def _end(process: _Process) -> None:
    if process.wait():
        raise _EndedError


def _explain(process: _Process, errors: IO[str]) -> str:
    """Return why a process ended: its last words, or the signal that killed it."""
    code = process.wait()
    errors.seek(0)
    words = [line.strip() for line in errors.read().splitlines() if line.strip()]
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return one_line(words[-1]) if words else f"exit code {code}"
