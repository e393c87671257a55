"""What a search knows of a setting, and what it found."""

from dataclasses import asdict, dataclass
from typing import Any

from amused_edge.benchmarks.metrics.statistics import Interval
from amused_edge.benchmarks.quality.metrics import Metric
from amused_edge.runtime.sampling.options import SamplerSettings


@dataclass(frozen=True)
class Tried:
    """One setting, over the prompts that it was drawn with last.

    Attributes
    ----------
    name
        Of the setting, for people.
    prompts
        How many there were.
    quality
        With its interval.
    difference
        In quality from the baseline's with the same prompts, paired; more is better.
    calls, rows
        Of the denoiser for a picture, the mean: guidance makes a call of two rows.
    """

    settings: SamplerSettings
    name: str
    prompts: int
    quality: Interval
    difference: Interval
    calls: float
    rows: float

    def kept(self, loss: float) -> bool:
        """Say whether it loses no more than that, at the lower end of its interval."""
        return self.difference.low >= -loss


@dataclass(frozen=True)
class Found:
    """The end of a search.

    Attributes
    ----------
    metric, about
        Of the quality.
    loss
        How much of it may be lost.
    tried
        Every setting as the choosing prompts saw it last.
    baseline
        As the checking prompts saw it.
    checked
        What these were asked about, from the least work on; the last one is chosen, if it was kept.
    seconds
        Of whole pictures in turns: "baseline", "chosen" and their "ratio"; None where nothing was found.
    """

    metric: Metric
    about: str
    loss: float
    tried: tuple[Tried, ...]
    baseline: Tried
    checked: tuple[Tried, ...]
    seconds: dict[str, Any] | None = None

    @property
    def chosen(self) -> Tried:
        """The setting with the least work that was confirmed; the baseline where none was."""
        return self.checked[-1] if self.checked and self.checked[-1].kept(self.loss) else self.baseline

    def line(self) -> str:
        """Return in a line what was found."""
        if self.chosen is self.baseline:
            return f"nothing with less work than {self.baseline.name} was confirmed"
        low, high = self.chosen.difference.low, self.chosen.difference.high
        return (
            f"{self.chosen.name}: {self.chosen.rows / self.baseline.rows:.2f} of the denoiser's work, "
            f"{low:+.{self.metric.digits}f} to {high:+.{self.metric.digits}f} in {self.metric.title}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it for `results.json`."""
        return {
            "quality": {"metric": self.metric.name, "better": self.metric.better},
            "tried": [_plain(each) for each in self.tried],
            "baseline_checked": _plain(self.baseline),
            "checked": [{**_plain(each), "kept": each.kept(self.loss)} for each in self.checked],
            "chosen": self.chosen.settings.to_dict(),
            "seconds": None if self.seconds is None else {**self.seconds, "ratio": asdict(self.seconds["ratio"])},
        }


def _plain(tried: Tried) -> dict[str, Any]:
    return {**asdict(tried), "settings": tried.settings.to_dict()}
