"""Which points of a comparison are dominated."""

from collections.abc import Sequence
from dataclasses import dataclass

from amused_edge.benchmarks.statistics import Interval, Summary


@dataclass(frozen=True)
class Candidate:
    """One bundle with one setting.

    Attributes
    ----------
    quality
        With its interval.
    higher_is_better
        Of the quality.
    seconds
        A picture.
    memory
        Peak while pictures were loaded and drawn, in bytes; of the bundle, whatever the setting.
    """

    label: str
    steps: int
    guidance_scale: float
    quality: Interval
    higher_is_better: bool
    seconds: Summary
    memory: int

    @property
    def name(self) -> str:
        """Label and setting."""
        return f"{self.label}, {self.steps} steps, guidance {self.guidance_scale:g}"

    def cost(self, figure: str) -> float:
        """Return "seconds" (their median) or "memory"."""
        return self.seconds.median if figure == "seconds" else float(self.memory)

    @property
    def worth(self) -> float:
        """The quality's estimate, turned so that more is better."""
        return self.quality.estimate if self.higher_is_better else -self.quality.estimate


def dominator(candidate: Candidate, others: Sequence[Candidate], figure: str) -> Candidate | None:
    """Return the best candidate that costs no more, is no worse, and is better in one of the two; None if none is.

    Parameters
    ----------
    figure
        The cost, see `Candidate.cost`. Estimates are compared, whatever their intervals.
    """
    better = [
        other
        for other in others
        if other.cost(figure) <= candidate.cost(figure)
        and other.worth >= candidate.worth
        and (other.cost(figure) < candidate.cost(figure) or other.worth > candidate.worth)
    ]
    return max(better, key=lambda other: (other.worth, -other.cost(figure)), default=None)
