"""What a run of turns comes to: the figures of `results.json`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.benchmarks.latency.measure import Turn
from amused_edge.benchmarks.latency.record import TurnMemory
from amused_edge.benchmarks.machine.memory import Memory
from amused_edge.benchmarks.metrics.statistics import Ratio, Summary, ratio_over_rounds, summary

PICTURE, READY, LOAD, FIRST = "picture", "ready", "load", "first picture"


@dataclass(frozen=True)
class Timing:
    """Seconds of one part of one subject.

    Attributes
    ----------
    part
        "ready" (from the start of the process until all is loaded), "load" (of all that a picture needs), "first
        picture" (of two steps, right after), a stage's name, or "picture" (from the prompt to pixels; `batch` of them).
    cold
        Whether the files came from the disk rather than from the system's page cache.
    steps, guidance_scale
        Of a picture; None for other parts.
    seconds
        Over all rounds.
    rounds
        The median of each round.
    ratio
        To the first subject, see `ratio_over_rounds`; None where it has no such figure in the same rounds.
    """

    label: str
    threads: int | None
    batch: int
    part: str
    cold: bool
    steps: int | None
    guidance_scale: float | None
    seconds: Summary
    rounds: tuple[float, ...]
    ratio: Ratio | None


@dataclass(frozen=True)
class Footprint:
    """Memory of one subject, the largest of all rounds.

    Attributes
    ----------
    loaded
        When all is loaded.
    peak
        While pictures were loaded and drawn, each figure by itself.
    """

    label: str
    threads: int | None
    batch: int
    loaded: Memory
    peak: Memory


@dataclass(frozen=True)
class Failure:
    """A subject that could not be measured, and why."""

    label: str
    threads: int | None
    batch: int
    reason: str


@dataclass(frozen=True)
class LatencyResult:
    """All figures of a run."""

    timings: tuple[Timing, ...]
    footprints: tuple[Footprint, ...]
    failures: tuple[Failure, ...]


Part = tuple[int | None, int, str, bool, int | None, float | None]
Samples = dict[str, dict[Part, dict[int, list[float]]]]
"""Label -> part -> round -> seconds."""


def summarise(turns: Sequence[Turn]) -> LatencyResult:
    """Return the figures of turns; ratios are to the subject whose turn came first."""
    baseline = turns[0].label
    samples: Samples = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for turn in turns:
        for part, seconds in _parts(turn):
            samples[turn.label][part][turn.round] += seconds
    timings = [
        Timing(
            label,
            *part,
            summary([value for values in rounds.values() for value in values]),
            tuple(float(np.median(values)) for values in rounds.values()),
            _ratio(rounds, samples.get(baseline, {}).get(part, {})),
        )
        for label, parts in samples.items()
        for part, rounds in parts.items()
    ]
    return LatencyResult(tuple(timings), tuple(_footprints(turns)), tuple(_failures(turns)))


def _parts(turn: Turn) -> Iterator[tuple[Part, list[float]]]:
    """Yield every part that a turn timed."""
    record = turn.record
    for name, value, cold in (
        (READY, record.ready, turn.cold),
        (LOAD, record.load, turn.cold),
        (FIRST, record.first, False),
    ):
        if value is not None:
            yield (turn.threads, turn.batch, name, cold, None, None), [value]
    for name, seconds in record.stages.items():
        yield (turn.threads, turn.batch, name, False, None, None), seconds
    for drawn in record.pictures:
        yield (turn.threads, turn.batch, PICTURE, False, drawn.steps, drawn.guidance_scale), drawn.seconds


def _ratio(rounds: dict[int, list[float]], baseline: dict[int, list[float]]) -> Ratio | None:
    common = sorted(rounds.keys() & baseline.keys())
    if not common:
        return None
    medians = [[float(np.median(each[number])) for number in common] for each in (rounds, baseline)]
    return ratio_over_rounds(*medians)


def _footprints(turns: Iterable[Turn]) -> Iterator[Footprint]:
    found: dict[tuple[str, int | None, int], list[TurnMemory]] = defaultdict(list)
    for turn in turns:
        if turn.record.memory is not None:
            found[turn.label, turn.threads, turn.batch].append(turn.record.memory)
    for (label, threads, batch), memories in found.items():
        loaded, peak = _largest([memory.loaded for memory in memories]), _largest([memory.peak for memory in memories])
        yield Footprint(label, threads, batch, loaded, peak)


def _largest(memories: Sequence[Memory]) -> Memory:
    def known(values: Iterable[int | None]) -> int | None:
        return max((value for value in values if value is not None), default=None)

    return Memory(
        max(memory.total for memory in memories),
        known(memory.anonymous for memory in memories),
        known(memory.file_backed for memory in memories),
    )


def _failures(turns: Iterable[Turn]) -> Iterator[Failure]:
    for turn in turns:
        if turn.record.error is not None:
            yield Failure(turn.label, turn.threads, turn.batch, turn.record.error)
