"""A search for the least work: what it leaves out, what it asks the other prompts, and a whole run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from amused_edge.benchmarks.compare.merit import choose_merit
from amused_edge.benchmarks.compare.narrowing import Narrowing
from amused_edge.benchmarks.compare.search import SearchOptions, search_settings
from amused_edge.benchmarks.compare.search_draw import Work
from amused_edge.benchmarks.compare.tried import Found
from amused_edge.benchmarks.quality.metrics import Instruments
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json

PROMPTS = tuple(f"prompt {place}" for place in range(64))
CHOOSING, CHECKING = range(0, 64, 2), range(1, 64, 2)
BASELINE = SamplerSettings(steps=200)
QUALITY = 100
SPREAD = np.random.default_rng(0).integers(-9, 10, 64)


def read(_: Sequence[str], images: Sequence[ImageArray]) -> np.ndarray:
    """The quality of pictures that show it by their brightness."""
    return np.array([float(image[0, 0, 0]) for image in images])


class Made:
    """Pictures whose quality, by steps, is `QUALITY - losses[steps]`; all share the spread over prompts, and each has a
    little of its own. `spoilt` steps lose 20 more with the checking prompts.
    """

    def __init__(self, losses: dict[int, float], spoilt: Sequence[int] = ()) -> None:
        self.losses = {BASELINE.steps: 0.0, **losses}
        self.spoilt = spoilt
        self.asked: dict[int, set[int]] = {}

    def pictures(self, settings: SamplerSettings, places: Sequence[int]) -> list[ImageArray]:
        steps = settings.steps
        self.asked.setdefault(steps, set()).update(places)
        own = np.random.default_rng(steps).integers(-3, 4, 64)
        lost = [self.losses[steps] + 20 * (steps in self.spoilt and place in CHECKING) for place in places]
        values = [QUALITY + SPREAD[place] + own[place] - loss for place, loss in zip(places, lost, strict=True)]
        return [np.full((16, 16, 3), value, np.uint8) for value in values]

    def work(self, settings: SamplerSettings, place: int) -> Work:
        return Work(settings.steps, 2 * settings.steps)

    def searched(self, loss: float) -> Found:
        merit = choose_merit(Instruments(clip=read), lambda place: self.pictures(BASELINE, [place])[0], (16, 16))  # type: ignore[arg-type]
        narrowing = Narrowing(self, BASELINE, PROMPTS, loss, merit)
        grid = [SamplerSettings(steps=steps) for steps in self.losses]
        return narrowing.found(grid, CHOOSING, CHECKING)


def test_the_least_work_above_the_floor_is_chosen() -> None:
    made = Made({2: 40, 4: 12, 6: 1, 8: 1, 24: -3})
    found = made.searched(5)
    assert found.chosen.settings.steps == 6
    assert (found.chosen.calls, found.chosen.rows, found.chosen.prompts) == (6, 12, 32)
    assert found.chosen.difference.low <= -1 <= found.chosen.difference.high
    assert found.chosen.quality.low < found.chosen.quality.estimate < found.chosen.quality.high
    assert {each.settings.steps for each in found.tried} == {2, 4, 6, 8, 24}


def test_what_is_surely_below_or_takes_more_is_drawn_no_longer_and_others_judge() -> None:
    made = Made({2: 40, 6: 1, 24: -3})
    made.searched(5)
    assert made.asked[2] == made.asked[24] == set(CHOOSING[:8])
    assert made.asked[6] == set(CHOOSING) | set(CHECKING)


def test_what_looks_good_to_those_that_chose_alone_is_not_chosen() -> None:
    made = Made({3: 1, 4: 1, 6: 1}, spoilt=[3, 6])
    found = made.searched(5)
    assert [each.settings.steps for each in found.checked] == [3, 4]
    assert found.chosen.settings.steps == 4
    assert made.asked[4] == set(CHOOSING[:8]) | set(CHECKING)  # it was left out for its work, and comes back


def test_what_saves_nothing_is_not_chosen() -> None:
    found = Made({200: 0, 300: -20}).searched(5)
    assert found.checked == ()
    assert found.chosen is found.baseline


def test_what_takes_hardly_more_than_one_that_failed_is_not_asked() -> None:
    found = Made({100: 1, 105: 1, 115: 1}, spoilt=[100]).searched(5)
    assert [each.settings.steps for each in found.checked] == [100, 115]


def test_several_that_may_be_above_are_asked_in_turn() -> None:
    """Both lose about as much as is allowed, so that neither is sure to the choosing prompts."""
    found = Made({4: 5, 6: 4.6}, spoilt=[4]).searched(5)
    assert [each.settings.steps for each in found.checked] == [4, 6]


def test_with_nothing_above_the_floor_the_baseline_stays() -> None:
    found = Made({2: 40, 4: 30}).searched(5)
    assert found.checked == ()
    assert found.chosen is found.baseline
    assert "nothing" in found.line()
    assert found.baseline.difference.estimate == 0


Fake = Callable[..., SubjectSpec]
BOUND = SamplerSettings(steps=5, guidance_scale=2.0, entropy_bound=1e6)
RUN = SearchOptions(PROMPTS[:16], SamplerSettings(steps=3, guidance_scale=1.0), (BOUND,), 1.0, rounds=2)


def test_a_run_is_written_counted_timed_and_goes_on(fake: Fake, log: Path, tmp_path: Path) -> None:
    """Likeness is at most 1 and lost wholly at the worst: with a loss of 1 whatever takes less is chosen."""
    spec = fake("a")
    with pytest.raises(KeyboardInterrupt):
        search_settings(spec, RUN, Instruments(), tmp_path / "run", _stop)
    drawn = log.read_text(encoding="utf-8").count("draw")
    assert drawn == 0
    records = len((tmp_path / "run" / "records.jsonl").read_text().splitlines())
    assert records == 1
    found = search_settings(spec, RUN, Instruments(), tmp_path / "run")
    assert (found.chosen.settings, found.chosen.calls, found.chosen.rows) == (BOUND, 1, 2)
    assert (found.baseline.calls, found.baseline.rows) == (3, 3)
    results = read_json(tmp_path / "run" / "results.json")
    assert (results["kind"], results["quality"]["metric"]) == ("search", "likeness")
    assert results["chosen"]["entropy_bound"] == 1e6
    assert "entropy_bound" not in results["baseline"]
    assert len(results["seconds"]["chosen"]) == 2
    assert "1e+06 nats" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    places = [set(half) for half in RUN.halves]
    assert not places[0] & places[1]
    assert places[0] | places[1] == set(range(16))


def _stop(_: str, done: int, __: int) -> None:
    if done == 1:
        raise KeyboardInterrupt


@pytest.mark.parametrize("wrong", [{"prompts": PROMPTS[:15]}, {"loss": -0.1}, {"rounds": 0}, {"threads": 0}], ids=str)
def test_searches_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"prompts": PROMPTS, "baseline": BASELINE, "grid": (BOUND,), "loss": 1.0, **wrong}
    with pytest.raises(OptionsError):
        SearchOptions(**given)  # type: ignore[arg-type]
