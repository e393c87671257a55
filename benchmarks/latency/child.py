"""The process that is measured: makes one subject, loads it, draws, and tells its parent how long each part took.

Reads a job (one line of JSON) from stdin and writes events (lines of JSON) to stdout. Times of an event are seconds of
the monotonic clock, which parent and child share.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

WARM_UP_STEPS, WARM_UP_CALLS = 2, 2


def main() -> None:
    """Do the job on stdin."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr,
    sys.stdout = sys.stderr  # at once, and not at the end, behind an error

    def tell(event: str, **facts: Any) -> None:
        events.write(json.dumps({"event": event, **facts}) + "\n")

    job = json.loads(sys.stdin.readline())
    from amused_edge.benchmarks.subjects.subject import make_subject

    if job["mode"] == "audit":
        tell("audit", operators=_audit(job))
        return
    subject = make_subject(job["target"], job["arguments"])
    read, imported = _bytes_read(), time.monotonic()
    subject.load()
    loaded = time.monotonic()
    tell("loaded", imported=imported, loaded=loaded, bytes_read=_difference(_bytes_read(), read))
    if job["mode"] == "cold" or not _wait():
        return
    from amused_edge.runtime.sampling.options import SamplerSettings

    all_settings = [SamplerSettings(**_pairs(settings)) for settings in job["settings"]]
    prompt, seed, batch = job["prompt"], job["seed"], job["batch"]
    shorter = {settings.guided: replace(settings, steps=WARM_UP_STEPS) for settings in reversed(all_settings)}
    first = [_time(partial(subject.draw, prompt, settings, seed, 1)) for settings in shorter.values()]
    tell("warm", seconds=first[0])
    branches = list(shorter.values())[-1].branches
    for settings in all_settings:
        if settings.branches != branches:  # for which an engine may have to load a graph anew
            branches = settings.branches
            subject.draw(prompt, replace(settings, steps=WARM_UP_STEPS), seed, 1)
        draw = partial(subject.draw, prompt, settings, seed, batch)
        seconds = [_time(draw) for _ in range(job["pictures"])]
        tell("picture", steps=settings.steps, guidance_scale=settings.guidance_scale, seconds=seconds)
    tell("drawn")
    if not _wait():
        return
    peaks = subject.peaks()
    for name, stage in subject.stages(prompt, all_settings[0], batch).items():
        for _ in range(WARM_UP_CALLS):
            stage()
        before = peaks.measure() if peaks is not None else {}
        seconds = [_time(stage) for _ in range(job["calls"])]
        after = peaks.measure() if peaks is not None else {}
        tell("stage", name=name, seconds=seconds, peaks={kind: before[kind] + after[kind] for kind in before})
    subject.close()


def _wait() -> bool:
    """Wait until the parent has looked at the memory; returns whether it is still there."""
    return sys.stdin.readline() != ""


def _audit(job: dict[str, Any]) -> dict[str, Any]:
    from amused_edge.benchmarks.subjects.subject import make_subject
    from amused_edge.runtime.sampling.options import SamplerSettings

    subject = make_subject(job["target"], job["arguments"])
    audits = subject.audit(job["prompt"], SamplerSettings(**_pairs(job["settings"][0])))
    return {stage: [asdict(operator) for operator in audit.operators] for stage, audit in audits.items()}


def _pairs(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings whose temperature may have become a list in JSON."""
    temperature = settings["temperature"]
    return {**settings, "temperature": tuple(temperature) if isinstance(temperature, list) else temperature}


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _bytes_read() -> int | None:
    """Return how much this process has had read from disks; None where the system does not tell."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes")), None)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


if __name__ == "__main__":
    main()
