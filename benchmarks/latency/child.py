"""The process that is measured: makes one subject, loads it, draws, and tells its parent how long each part took.

Times of an event are seconds of the monotonic clock, which parent and child share.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amused_edge.benchmarks.latency.channel import Tell, begin, wait

if TYPE_CHECKING:
    from amused_edge.benchmarks.subjects.subject import Subject
    from amused_edge.runtime.sampling.options import SamplerSettings

WARM_UP_STEPS, WARM_UP_CALLS = 2, 2


def main() -> None:
    """Do the job on stdin."""
    tell, job = begin()
    from amused_edge.benchmarks.subjects.subject import make_subject

    if job["mode"] == "audit":
        tell("audit", operators=_audit(job))
        return
    subject = make_subject(job["target"], job["arguments"])
    read, imported = _bytes_read(), time.monotonic()
    subject.load()
    loaded = time.monotonic()
    tell("loaded", imported=imported, loaded=loaded, bytes_read=_difference(_bytes_read(), read))
    if job["mode"] == "cold" or not wait():
        return
    _draw(subject, job, tell)
    tell("drawn")
    if not wait():
        return
    _call_stages(subject, job, tell)
    subject.close()


def _draw(subject: "Subject", job: dict[str, Any], tell: Tell) -> None:
    """Draw short pictures with and without guidance, as far as settings ask for them; then time whole ones."""
    all_settings = _settings(job)

    def draw_short(settings: "SamplerSettings") -> float:
        return _time(partial(subject.draw, job["prompt"], replace(settings, steps=WARM_UP_STEPS), job["seed"], 1))

    kinds = {settings.guided: settings for settings in reversed(all_settings)}  # mostly ends with the first to be timed
    first, *_ = [draw_short(settings) for settings in kinds.values()]
    tell("warm", seconds=first)
    drawn_last = list(kinds.values())[-1]
    for settings in all_settings:
        if settings.branches != drawn_last.branches:  # for which an engine may have to load a graph anew
            draw_short(settings)
        draw = partial(subject.draw, job["prompt"], settings, job["seed"], job["batch"])
        seconds = [_time(draw) for _ in range(job["pictures"])]
        tell("picture", steps=settings.steps, guidance_scale=settings.guidance_scale, seconds=seconds)
        drawn_last = settings


def _call_stages(subject: "Subject", job: dict[str, Any], tell: Tell) -> None:
    """Time each stage, between two measurements of the engine's products where there are any."""
    peaks = subject.peaks()
    before = peaks.measure() if peaks is not None else {}
    for name, stage in subject.stages(job["prompt"], _settings(job)[0], job["batch"]).items():
        for _ in range(WARM_UP_CALLS):
            stage()
        seconds = [_time(stage) for _ in range(job["calls"])]
        after = peaks.measure() if peaks is not None else {}
        tell("stage", name=name, seconds=seconds, peaks={kind: before[kind] + after[kind] for kind in before})
        before = after


def _settings(job: dict[str, Any]) -> list["SamplerSettings"]:
    from amused_edge.runtime.sampling.options import SamplerSettings

    return [SamplerSettings(**_pairs(settings)) for settings in job["settings"]]


def _audit(job: dict[str, Any]) -> dict[str, Any]:
    from amused_edge.benchmarks.subjects.subject import make_subject

    subject = make_subject(job["target"], job["arguments"])
    audits = subject.audit(job["prompt"], _settings(job)[0])
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
