"""Which points of a comparison are dominated, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.benchmarks.metrics.statistics import (
    Interval,
    Summary,
    bootstrap,
    difference,
    mean,
    ratio_over_rounds,
    resampled,
)

SURE = 0.9
"""How sure the range of rounds must be before a difference in time counts."""


@dataclass(frozen=True)
class Candidate:
    """One bundle with one setting.

    Attributes
    ----------
    quality
        With its interval.
    values
        Of the quality, one for each prompt; the same prompts for all candidates.
    higher_is_better
        Of the quality.
    seconds
        A picture.
    rounds
        Seconds of a picture in each round of turns.
    memory
        Peak while pictures were loaded and drawn, in bytes; of the bundle, whatever the setting.
    """

    label: str
    steps: int
    guidance_scale: float
    quality: Interval
    values: tuple[float, ...]
    higher_is_better: bool
    seconds: Summary
    rounds: tuple[float, ...]
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


@dataclass(frozen=True)
class Dominator:
    """Who dominates a candidate.

    Attributes
    ----------
    sure
        Whether the better quality or the lower cost is a difference beyond the noise: the interval of the paired
        difference in quality does not hold 0, or the range of the rounds' ratios does not hold 1 (with rounds enough to
        say so), or the memory is another.
    """

    candidate: Candidate
    sure: bool


def dominator(candidate: Candidate, others: Sequence[Candidate], figure: str) -> Dominator | None:
    """Return a candidate that costs no more, is no worse, and is better in one of the two; None if none is.

    Of several, those that are surely better come first, then the best.

    Parameters
    ----------
    figure
        The cost, see `Candidate.cost`.
    """
    better = [
        Dominator(other, _differs(candidate, other, figure))
        for other in others
        if other.cost(figure) <= candidate.cost(figure)
        and other.worth >= candidate.worth
        and (other.cost(figure) < candidate.cost(figure) or other.worth > candidate.worth)
    ]
    return max(better, key=lambda each: (each.sure, each.candidate.worth, -each.candidate.cost(figure)), default=None)


def _differs(a: Candidate, b: Candidate, figure: str) -> bool:
    """Return whether two candidates differ beyond the noise, in quality or in cost."""
    values = mean(np.asarray(a.values)), mean(np.asarray(b.values))
    if not bootstrap(difference(*values), resampled(len(a.values))).holds(0):
        return True
    if figure == "memory":
        return a.memory != b.memory
    ratio = ratio_over_rounds(b.rounds, a.rounds)
    return ratio.certainty >= SURE and not ratio.holds(1)
