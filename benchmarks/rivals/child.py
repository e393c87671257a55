"""The process that is measured: loads one model, and calls its parts one after the other.

Before a part is timed it is called once while the parent watches the memory; a call that takes long is not made again,
but counts, unless it is the process' first, which may still read weights from the disk.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from amused_edge.benchmarks.latency.channel import begin, wait

LONG = 8.0
"""Seconds."""


def main() -> None:
    """Do the job on stdin."""
    tell, job = begin()
    from amused_edge.benchmarks.rivals.parted import Part
    from amused_edge.benchmarks.subjects.subject import make_subject

    subject: Any = make_subject(job["target"], job["arguments"])
    subject.load()
    for number, fields in enumerate(job["parts"]):
        tell("begins")
        if not wait():
            return
        call = subject.part(Part(**fields))
        tell("opened")
        if not wait():
            return
        first, result = _timed(call)
        tell("watched")
        if not wait():
            return
        _check_finite(result)
        counts = number > 0 and first >= LONG
        tell("part", seconds=[first] if counts else [_timed(call)[0] for _ in range(job["calls"])])
        del call, result  # a decoder goes with them
    subject.close()


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _check_finite(result: Any) -> None:
    """Numbers that are not finite, or below what processors are fast with, would make times meaningless."""
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        size = np.abs(result)
        if not np.isfinite(size).all():
            raise ArithmeticError("what a network computes is not finite")
        if (size[size > 0] < np.finfo(np.float32).tiny).any():
            raise ArithmeticError("what a network computes is not normal")


if __name__ == "__main__":
    main()
