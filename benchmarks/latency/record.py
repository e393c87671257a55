"""What a turn measured, and its form in the run's folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from amused_edge.benchmarks.machine.memory import Memory


@dataclass(frozen=True)
class PictureTimes:
    """Seconds of each whole picture (with a batch: of so many at once) that was drawn with some settings."""

    steps: int
    guidance_scale: float
    seconds: list[float]


@dataclass(frozen=True)
class TurnMemory:
    """Memory when all was loaded, and at the peak of drawing."""

    loaded: Memory
    peak: Memory


@dataclass(frozen=True)
class TurnRecord:
    """What came of a turn; a cold one gives `ready` and `load` only, one that failed `error` only.

    Attributes
    ----------
    ready, load
        Seconds from the start of the process, and from the imports' end, until all was loaded; None where the load was
        to be cold, and files were not read from the disk after all.
    first
        Seconds of a first picture of two steps.
    load_average
        Of the system before.
    stages
        Name -> seconds of each call.
    peaks
        Stage -> precision -> operations a second of the engine's products before and after the stage's calls.
    error
        A sentence.
    """

    ready: float | None = None
    load: float | None = None
    first: float | None = None
    load_average: float | None = None
    pictures: tuple[PictureTimes, ...] = ()
    stages: Mapping[str, list[float]] = field(default_factory=dict)
    peaks: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    memory: TurnMemory | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the run's folder keeps."""
        if self.error is not None:
            return {"error": self.error}
        fields = asdict(self)
        del fields["error"]
        return fields if self.memory is not None else {"ready": self.ready, "load": self.load}

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "TurnRecord":
        """Read what the run's folder keeps."""
        fields = dict(record)
        memory = fields.pop("memory", None)
        return TurnRecord(
            pictures=tuple(PictureTimes(**each) for each in fields.pop("pictures", ())),
            memory=None if memory is None else TurnMemory(Memory(**memory["loaded"]), Memory(**memory["peak"])),
            **fields,
        )
