"""Which choices nothing else beats."""

import itertools

import numpy as np
import pytest

from amused_edge.benchmarks.compare.pareto import Candidate, dominator
from amused_edge.benchmarks.metrics.statistics import Interval, summary

PROMPTS = 8


def candidate(
    label: str,
    seconds: float,
    quality: float,
    memory: int = 1,
    *,
    higher: bool = True,
    rounds: int = 5,
    noise: float = 0.0,
) -> Candidate:
    """Noise goes up and down with the prompts, and is another for each label."""
    values = quality + noise * np.random.default_rng(ord(label[0])).standard_normal(PROMPTS)
    values += quality - values.mean()
    times = (seconds,) * rounds
    interval = Interval(quality, quality - 1, quality + 1)
    return Candidate(label, 12, 1.25, interval, tuple(values), higher, summary(times), times, memory)


def beaten(one: Candidate, others: list[Candidate], figure: str = "seconds") -> str | None:
    by = dominator(one, others, figure)
    return None if by is None else by.candidate.label


def test_slower_and_worse_is_dominated() -> None:
    good, bad = candidate("good", 1, 30), candidate("bad", 2, 29)
    assert beaten(bad, [good, bad]) == "good"
    assert beaten(good, [good, bad]) is None


def test_a_trade_dominates_nobody() -> None:
    fast, slow = candidate("fast", 1, 29), candidate("slow", 2, 30)
    assert [beaten(each, [fast, slow]) for each in (fast, slow)] == [None, None]


def test_equals_dominate_nobody() -> None:
    """A bundle beside itself."""
    one, other = candidate("one", 1, 30), candidate("other", 1, 30)
    assert [beaten(each, [one, other]) for each in (one, other)] == [None, None]


@pytest.mark.parametrize(("seconds", "quality"), [(1, 29), (2, 30)])
def test_better_in_one_and_equal_in_the_other_dominates(seconds: float, quality: float) -> None:
    good, bad = candidate("good", 1, 30), candidate("bad", seconds, quality)
    assert beaten(bad, [good, bad]) == "good"


def test_time_and_memory_are_judged_apart() -> None:
    small, fast = candidate("small", 2, 30, memory=1), candidate("fast", 1, 30, memory=2)
    assert beaten(small, [small, fast], "seconds") == "fast"
    assert beaten(small, [small, fast], "memory") is None
    assert beaten(fast, [small, fast], "memory") == "small"


def test_lower_may_be_better() -> None:
    near, far = candidate("near", 1, 0.1, higher=False), candidate("far", 1, 0.2, higher=False)
    assert beaten(far, [near, far]) == "near"
    assert beaten(near, [near, far]) is None


def test_noise_dominates_only_perhaps() -> None:
    """A better mean within the noise, at times that two rounds cannot tell apart."""
    good, bad = candidate("good", 1.0, 30.1, rounds=2, noise=5), candidate("bad", 1.01, 30, rounds=2, noise=5)
    by = dominator(bad, [good, bad], "seconds")
    assert by is not None
    assert (by.candidate, by.sure) == (good, False)


def test_a_paired_difference_is_sure_within_wide_intervals() -> None:
    """Prompts differ much, but the same way for both."""
    bad = candidate("bad", 1, 30, noise=5)
    good = candidate("bad", 1, 31, noise=5)
    by = dominator(bad, [good, bad], "seconds")
    assert by is not None
    assert by.sure


def test_who_is_surely_better_is_named_first() -> None:
    sure, perhaps = candidate("sure", 1, 31), candidate("perhaps", 1.99, 32, rounds=2, noise=9)
    bad = candidate("bad", 2, 30, rounds=2)
    assert beaten(bad, [perhaps, candidate("sure", 1, 31, rounds=2), bad]) == "sure"
    assert sure.worth > bad.worth


def test_what_is_left_is_the_front() -> None:
    """Sorted by cost, the quality of those that nobody dominates rises."""
    rng = np.random.default_rng(0)
    points = [candidate(str(n), float(x), float(y)) for n, (x, y) in enumerate(rng.integers(0, 9, (30, 2)) + 1)]
    front = [point for point in points if dominator(point, points, "seconds") is None]
    order = sorted({(point.seconds.median, point.quality.estimate) for point in front})
    assert all(a[1] < b[1] for a, b in itertools.pairwise(order))
    for point in points:
        by = [f for f in front if f.seconds.median <= point.seconds.median]
        assert any(f.quality.estimate >= point.quality.estimate for f in by)
