"""A comparison from subjects without a network to its results."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from amused_edge.benchmarks.compare.bench import CompareOptions, bench_compare
from amused_edge.benchmarks.compare.merit import choose_merit
from amused_edge.benchmarks.metrics.pictures import ssim
from amused_edge.benchmarks.quality.draw import read_picture
from amused_edge.benchmarks.quality.metrics import Instruments, by_judge
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import GraphError, OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json

Fake = Callable[..., SubjectSpec]
GRID = (SamplerSettings(steps=2, guidance_scale=1.0), SamplerSettings(steps=4, guidance_scale=1.0))
OPTIONS = CompareOptions(("a fox", "\u5c0f \U0001f98a", ""), GRID, rounds=1)


def test_all_bundles_and_settings_are_there(fake: Fake, tmp_path: Path) -> None:
    specs = [fake("a", number=1), fake("b", number=2)]
    candidates = bench_compare(specs, OPTIONS, Instruments(), tmp_path / "run")
    assert [(c.label, c.steps) for c in candidates] == [("a", 2), ("a", 4), ("b", 2), ("b", 4)]
    found = read_json(tmp_path / "run" / "results.json")
    assert (found["kind"], found["quality"]["metric"], found["prompts"]) == ("compare", "likeness", 3)
    assert [c["label"] for c in found["candidates"]] == ["a", "a", "b", "b"]
    for name in ("report.md", "report.html", "seconds.svg", "memory.svg"):
        assert (tmp_path / "run" / name).exists()


def test_the_quality_is_likeness_to_the_reference_with_the_most_steps(fake: Fake, tmp_path: Path) -> None:
    candidates = bench_compare([fake("a", number=1), fake("b", number=2)], OPTIONS, Instruments(), tmp_path / "run")
    best = [read_picture(tmp_path / "run", "a, 4 steps, guidance 1", number) for number in range(3)]
    for each in candidates:
        pictures = [read_picture(tmp_path / "run", each.name, number) for number in range(3)]
        mean = np.mean([ssim(a, b) for a, b in zip(best, pictures, strict=True)])
        assert each.quality.estimate == pytest.approx(mean, abs=1e-12)
        assert each.quality.low <= each.quality.estimate <= each.quality.high
    assert candidates[1].quality.estimate == 1.0


def test_an_interrupted_comparison_goes_on(fake: Fake, log: Path, tmp_path: Path) -> None:
    """Bundle a was drawn when the user stopped it: it is not drawn again, and the results are the same."""
    specs = [fake("a", number=1), fake("b", number=2)]

    def stop(what: str, *_: int) -> None:
        if what.startswith("b, 2 steps"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_compare(specs, OPTIONS, Instruments(), tmp_path / "run", stop)
    assert not (tmp_path / "run" / "results.json").exists()
    log.write_text("", encoding="utf-8")
    resumed = bench_compare(specs, OPTIONS, Instruments(), tmp_path / "run")
    whole = bench_compare(specs, OPTIONS, Instruments(), tmp_path / "other")
    assert [c.quality for c in resumed] == [c.quality for c in whole]


def test_a_subject_that_cannot_be_timed_ends_it(fake: Fake, tmp_path: Path) -> None:
    specs = [fake("a", number=1), fake("b", number=2, fails="draw", how="exit")]
    with pytest.raises(GraphError, match="b could not be timed: exit code 3"):
        bench_compare(specs, OPTIONS, Instruments(), tmp_path / "run")
    assert (tmp_path / "run" / "records.jsonl").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"prompts": ()}, {"grid": ()}, {"seed": -1}, {"threads": 0}, {"rounds": 0}, {"grid": GRID[:1] * 2}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    given: dict[str, object] = {"prompts": ("a",), "grid": GRID, **wrong}
    with pytest.raises(OptionsError):
        CompareOptions(**given)  # type: ignore[arg-type]


class Judge:
    """Whose true pictures are black."""

    def __init__(self, side: int) -> None:
        self._side = side

    def truth(self, _: str) -> np.ndarray:
        return np.zeros((self._side, self._side, 3), np.uint8)

    def answers(self, prompts: Sequence[str], _: object) -> dict[str, np.ndarray]:
        return dict.fromkeys(("concept", "style", "background"), np.ones(len(prompts)))


def test_a_judge_comes_before_a_clip_and_both_before_likeness() -> None:
    def clip(prompts: Sequence[str], _: object) -> np.ndarray:
        return np.full(len(prompts), 21.0)

    grey = np.full((16, 16, 3), 16, np.uint8)
    judge: object = Judge(16)
    both = choose_merit(Instruments(judge=judge, clip=clip), lambda _: grey, (16, 16))  # type: ignore[arg-type]
    assert both.metric.name == "truth_psnr"
    assert both.measure("a", 0, grey) == pytest.approx(20 * np.log10(255 / 16))
    one = choose_merit(Instruments(clip=clip), lambda _: grey, (16, 16))  # type: ignore[arg-type]
    assert (one.metric.name, one.measure("a", 0, grey)) == ("clip_score", 21.0)
    neither = choose_merit(Instruments(), lambda _: grey, (16, 16))
    assert (neither.metric.name, neither.measure("a", 0, grey)) == ("likeness", 1.0)


@pytest.mark.parametrize(("size", "name"), [((11, 30), "likeness"), ((10, 30), "likeness_psnr")])
def test_pictures_that_are_too_small_for_ssim_have_a_psnr(size: tuple[int, int], name: str) -> None:
    grey, lighter = np.full((*size, 3), 16, np.uint8), np.full((*size, 3), 32, np.uint8)
    merit = choose_merit(Instruments(), lambda _: grey, size)
    assert merit.metric.name == name
    assert merit.metric.title.split()[0] in merit.about
    if name == "likeness_psnr":
        assert merit.measure("a", 0, lighter) == pytest.approx(20 * np.log10(255 / 16))
        assert merit.measure("a", 0, grey) == pytest.approx(20 * np.log10(255 * np.sqrt(12)))  # not infinite


@pytest.mark.parametrize(("side", "measured"), [(11, {"truth_psnr", "truth_ssim"}), (10, {"truth_psnr"})])
def test_a_judge_of_pictures_that_are_too_small_for_ssim(side: int, measured: set[str]) -> None:
    grey, judge = np.full((side, side, 3), 16, np.uint8), Judge(side)
    values = by_judge(["a fox"], [grey], Instruments(judge=judge))  # type: ignore[arg-type]
    assert {metric.name for metric in values if metric.name.startswith("truth")} == measured
