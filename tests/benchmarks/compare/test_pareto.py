"""Which choices nothing else beats."""

import itertools

import numpy as np
import pytest

from amused_edge.benchmarks.compare.pareto import Candidate, dominator
from amused_edge.benchmarks.statistics import Interval, Summary


def candidate(label: str, seconds: float, quality: float, memory: int = 1, higher: bool = True) -> Candidate:
    interval, summary = Interval(quality, quality - 1, quality + 1), Summary(seconds, seconds, seconds, 1)
    return Candidate(label, 12, 1.25, interval, higher, summary, memory)


def test_slower_and_worse_is_dominated() -> None:
    good, bad = candidate("good", 1, 30), candidate("bad", 2, 29)
    assert dominator(bad, [good, bad], "seconds") is good
    assert dominator(good, [good, bad], "seconds") is None


def test_a_trade_dominates_nobody() -> None:
    fast, fine = candidate("fast", 1, 29), candidate("fine", 2, 30)
    assert [dominator(each, [fast, fine], "seconds") for each in (fast, fine)] == [None, None]


def test_equals_dominate_nobody() -> None:
    """A bundle beside itself."""
    one, other = candidate("one", 1, 30), candidate("other", 1, 30)
    assert [dominator(each, [one, other], "seconds") for each in (one, other)] == [None, None]


@pytest.mark.parametrize(("seconds", "quality"), [(1, 29), (2, 30)])
def test_better_in_one_and_equal_in_the_other_dominates(seconds: float, quality: float) -> None:
    good, bad = candidate("good", 1, 30), candidate("bad", seconds, quality)
    assert dominator(bad, [good, bad], "seconds") is good


def test_time_and_memory_are_judged_apart() -> None:
    small, fast = candidate("small", 2, 30, memory=1), candidate("fast", 1, 30, memory=2)
    assert dominator(small, [small, fast], "seconds") is fast
    assert dominator(small, [small, fast], "memory") is None
    assert dominator(fast, [small, fast], "memory") is small


def test_lower_may_be_better() -> None:
    near, far = candidate("near", 1, 0.1, higher=False), candidate("far", 1, 0.2, higher=False)
    assert dominator(far, [near, far], "seconds") is near
    assert dominator(near, [near, far], "seconds") is None


def test_the_best_of_several_is_named() -> None:
    best, second, bad = candidate("best", 1, 31), candidate("second", 1, 30), candidate("bad", 2, 29)
    assert dominator(bad, [second, best, bad], "seconds") is best


def test_what_is_left_is_the_front() -> None:
    """Sorted by cost, the quality of those that nobody dominates rises; all others have one of them above."""
    rng = np.random.default_rng(0)
    points = [candidate(str(n), float(x), float(y)) for n, (x, y) in enumerate(rng.integers(0, 9, (60, 2)) + 1)]
    front = [point for point in points if dominator(point, points, "seconds") is None]
    order = sorted({(point.seconds.median, point.quality.estimate) for point in front})
    assert all(a[1] < b[1] for a, b in itertools.pairwise(order))
    for point in points:
        if point not in front:
            by = [f for f in front if f.seconds.median <= point.seconds.median]
            assert any(f.quality.estimate >= point.quality.estimate for f in by)
