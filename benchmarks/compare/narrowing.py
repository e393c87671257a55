"""Leaves out settings step by step, and lets prompts judge that had no part in the choice."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.compare.merit import Merit
from amused_edge.benchmarks.compare.search_draw import Work, name_of
from amused_edge.benchmarks.compare.tried import Found, Tried
from amused_edge.benchmarks.metrics.statistics import bootstrap, difference, mean, resampled
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings

_SHARES = (0.25, 0.5, 1.0)
"""Of the choosing prompts, after which settings are left out."""

_MOST_CHECKED = 4
"""Settings that the other prompts judge, from the least work on."""

_MORE_WORK = 1.1
"""What the next one takes at least, times the work of one that they did not confirm: others of the same work differ
little, and each is another chance to be lucky.
"""


class Drawing(Protocol):
    """Pictures of a search, by setting and place of the prompt."""

    def pictures(self, settings: SamplerSettings, places: Sequence[int]) -> list[ImageArray]:
        """Return the pictures (H, W, 3) of the prompts of these places."""
        ...

    def work(self, settings: SamplerSettings, place: int) -> Work:
        """Return what a picture took that was drawn."""
        ...


class Narrowing:
    """Narrows settings down to the one with the least work that loses little enough.

    Parameters
    ----------
    baseline, loss
        What they are measured against, and how much less will do.
    merit
        What they are measured by.
    """

    def __init__(
        self, drawing: Drawing, baseline: SamplerSettings, prompts: Sequence[str], loss: float, merit: Merit
    ) -> None:
        self._drawing = drawing
        self._baseline = baseline
        self._prompts = prompts
        self._loss = loss
        self._merit = merit
        self._measured: dict[tuple[SamplerSettings, int], float] = {}
        self._tried: dict[SamplerSettings, Tried] = {}
        self._most = np.inf  # rows of the baseline

    def found(self, grid: Sequence[SamplerSettings], choosing: Sequence[int], checking: Sequence[int]) -> Found:
        """Return the setting with the least work that is kept by the prompts of some places and confirmed by those of
        others, or the baseline.
        """
        left = [settings for settings in dict.fromkeys(grid) if settings != self._baseline]
        for share in _SHARES:
            left = self._narrowed(left, choosing[: max(2, round(share * len(choosing)))])
        checked: list[Tried] = []
        for each in self._worth_checking(left):
            if checked and each.rows < _MORE_WORK * checked[-1].rows:
                continue
            checked.append(self._weigh([each.settings], checking)[1])
            if checked[-1].kept(self._loss) or len(checked) == _MOST_CHECKED:
                break
        baseline = self._weigh([], checking)[0]
        tried = tuple(self._tried.values())
        return Found(self._merit.metric, self._merit.about, self._loss, tried, baseline, tuple(checked))

    def _worth_checking(self, left: Sequence[SamplerSettings]) -> list[Tried]:
        """Return what is left, and what was left out for its work alone, the least work first."""
        worth = [each for each in self._tried.values() if each.settings in left or each.kept(self._loss)]
        return sorted((each for each in worth if each.rows < self._most), key=lambda each: each.rows)

    def _narrowed(self, left: Sequence[SamplerSettings], places: Sequence[int]) -> list[SamplerSettings]:
        """Leave out what is surely below the floor, what takes more than one that is surely above, and what saves
        nothing; the least work comes first.
        """
        baseline, *weighed = self._weigh(left, places)
        self._tried.update({each.settings: each for each in weighed})
        self._most = baseline.rows
        possible = [each for each in weighed if each.difference.high >= -self._loss and each.rows < self._most]
        most = min((each.rows for each in possible if each.kept(self._loss)), default=np.inf)
        return [each.settings for each in sorted(possible, key=lambda each: each.rows) if each.rows <= most]

    def _weigh(self, left: Sequence[SamplerSettings], places: Sequence[int]) -> list[Tried]:
        """Draw the prompts of these places with the baseline and each of the settings, and weigh them."""
        weights = resampled(len(places))
        values = [self._values(each, places) for each in (self._baseline, *left)]
        result = []
        for settings, each in zip((self._baseline, *left), values, strict=True):
            works = [self._drawing.work(settings, place) for place in places]
            result.append(
                Tried(
                    settings,
                    name_of(settings),
                    len(places),
                    self._merit.metric.present(bootstrap(mean(each), weights)),
                    bootstrap(difference(mean(each), mean(values[0])), weights),
                    calls=float(np.mean([work.calls for work in works])),
                    rows=float(np.mean([work.rows for work in works])),
                )
            )
        return result

    def _values(self, settings: SamplerSettings, places: Sequence[int]) -> NDArray[np.float64]:
        """Return the quality of each picture, measured once, turned so that more is better."""
        missing = [place for place in places if (settings, place) not in self._measured]
        for place, image in zip(missing, self._drawing.pictures(settings, missing), strict=True):
            self._measured[settings, place] = self._merit.measure(self._prompts[place], place, image)
        values = np.array([self._measured[settings, place] for place in places])
        return values if self._merit.metric.better == "higher" else -values
