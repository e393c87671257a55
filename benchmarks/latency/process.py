"""The parent's end of a process that is measured: starts it, sends it on, reads its events, says why it ended."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import one_line

Child = subprocess.Popen[str]


class TurnError(Exception):
    """The process ended with an error; the message says which."""


class _EndedError(Exception):
    """The process ended before it should."""


@contextlib.contextmanager
def child(module: str, spec: SubjectSpec, job: dict[str, Any]) -> Iterator[tuple[Child, float]]:
    """Start a subject's process, and see that it ends with the block.

    Parameters
    ----------
    module
        What the process runs; it gets the job and the subject as one line of JSON.

    Yields
    ------
    The process, and when it was started, in seconds of the monotonic clock.

    Raises
    ------
    TurnError
        It ended with an error, or before it should.
    """
    command = [sys.executable, "-m", module]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        try:
            send(process, json.dumps({**job, "target": spec.target, "arguments": spec.arguments}))
            yield process, start
            end(process)
        except (_EndedError, BrokenPipeError, ProcessLookupError) as error:
            raise TurnError(_explain(process, errors)) from error
        finally:
            process.kill()
            process.communicate()


def send(process: Child, line: str) -> None:
    """Write a line to what the process reads."""
    if process.stdin is None:
        raise _EndedError
    process.stdin.write(line + "\n")
    process.stdin.flush()


def events(process: Child) -> Iterator[dict[str, Any]]:
    """Yield events until the process closes its end."""
    for line in process.stdout or ():
        yield json.loads(line)


def next_event(process: Child) -> dict[str, Any]:
    """Wait for an event."""
    for event in events(process):
        return event
    raise _EndedError


def expect(process: Child, name: str) -> dict[str, Any]:
    """Wait for an event, which must be this one."""
    event = next_event(process)
    if event["event"] != name:
        raise _EndedError
    return event


def end(process: Child) -> None:
    """Wait until the process has ended, which must be without an error."""
    if process.wait():
        raise _EndedError


def _explain(process: Child, errors: IO[str]) -> str:
    """Return why a process ended: its last words, or the signal that killed it."""
    code = process.wait()
    errors.seek(0)
    words = [line.strip() for line in errors.read().splitlines() if line.strip()]
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return one_line(words[-1]) if words else f"exit code {code}"
