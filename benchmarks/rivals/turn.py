"""One turn of a model: a process of its own that calls the parts, and its memory meanwhile."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from amused_edge.benchmarks.latency.process import Child, TurnError, child, end, expect, send
from amused_edge.benchmarks.machine.memory import Memory, MemoryWatch, forget_high_water, resident
from amused_edge.benchmarks.rivals.parted import Part
from amused_edge.benchmarks.subjects.subject import SubjectSpec

_process = partial(child, "amused_edge.benchmarks.rivals.child")


@dataclass(frozen=True)
class PartRecord:
    """What a turn measured of a part.

    Attributes
    ----------
    seconds
        Of each call.
    before, opened, peak, after
        Memory before the part was loaded; when it was; the most during a call; and after that.
    """

    part: Part
    seconds: list[float]
    before: Memory
    opened: Memory
    peak: Memory
    after: Memory

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> "PartRecord":
        """Read what a run's folder keeps: `dataclasses.asdict` of a record."""
        memories = {name: Memory(**fields[name]) for name in ("before", "opened", "peak", "after")}
        return PartRecord(Part(**fields["part"]), fields["seconds"], **memories)


@dataclass(frozen=True)
class Turn:
    """What came of a turn: the records of the parts until one failed, and why it did."""

    records: tuple[PartRecord, ...]
    error: str | None = None


def take_turn(spec: SubjectSpec, parts: Sequence[Part], calls: int) -> Turn:
    """Load a model in a process of its own, and measure parts of it in their order.

    Parameters
    ----------
    calls
        Of each part, behind one that is watched; see `child`.
    """
    records: list[PartRecord] = []
    try:
        with _process(spec, {"parts": [asdict(part) for part in parts], "calls": calls}) as (process, _):
            for part in parts:
                records.append(_measure(process, part))
            end(process)
    except TurnError as error:
        return Turn(tuple(records), str(error))
    return Turn(tuple(records))


def _measure(process: Child, part: Part) -> PartRecord:
    expect(process, "begins")
    before = resident(process.pid)
    send(process, "go")
    expect(process, "opened")
    opened = resident(process.pid)
    forget_high_water(process.pid)
    with MemoryWatch(process.pid) as watch:
        send(process, "go")
        expect(process, "watched")
        peak = watch.end()
    after = resident(process.pid)
    send(process, "go")
    seconds: list[float] = expect(process, "part")["seconds"]
    return PartRecord(part, seconds, before, opened, peak, after)
