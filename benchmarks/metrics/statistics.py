"""What a sample says, and how surely: percentiles, bootstrap intervals, ratios between things measured in turns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 2000
ENOUGH = 10
"""Values that percentiles are told of."""

Weights = NDArray[Any]
"""(R, n), whole numbers or floats: how often each of n values was drawn in each of R resamples."""

Statistic = Callable[[Weights], NDArray[np.float64]]
"""Weights (R, n) -> the statistic of every resample, (R,)."""


@dataclass(frozen=True)
class Summary:
    """Median, 10th and 90th percentile (linear between values), least and most of `count` values."""

    median: float
    p10: float
    p90: float
    count: int
    least: float
    most: float

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and 90th percentile; of less than `ENOUGH` values, which have none, the least and the most."""
        return (self.p10, self.p90) if self.count >= ENOUGH else (self.least, self.most)


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval it is believed to lie in, of `LEVEL` where nothing else is said."""

    estimate: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value cannot be told from the estimate."""
        return self.low <= value <= self.high


def summary(values: ArrayLike) -> Summary:
    """Summarise one value or more; raises `ValueError` if there is none."""
    x = np.asarray(values, np.float64)
    if not x.size:
        raise ValueError("no value to summarise")
    p10, median, p90 = np.percentile(x, [10, 50, 90])
    return Summary(float(median), float(p10), float(p90), x.size, float(x.min()), float(x.max()))


def resampled(count: int, seed: int = 0, resamples: int = RESAMPLES) -> Weights:
    """Return the weights of bootstrap resamples of `count` values, each row summing to `count`: those of all bundles
    share them, so that differences are paired.
    """
    return sample_and_resamples(count, seed, resamples)[1:]


def sample_and_resamples(count: int, seed: int = 0, resamples: int = RESAMPLES) -> Weights:
    """Return weights of one, and behind them those of `resampled`, (1 + R, n): see `percentiles`.

    A byte each: no value of 255 or fewer is drawn more than 255 times, and of more it never happens (1e-500).
    """
    generator = np.random.Generator(np.random.Philox(seed))
    weights = np.ones((1 + resamples, count), np.uint8)
    drawn = weights[1:]
    for rows in _blocks(drawn):
        drawn[rows] = generator.multinomial(count, np.full(count, 1 / count), size=len(drawn[rows]))
    return weights


def bootstrap(statistic: Statistic, weights: Weights) -> Interval:
    """Return a statistic of a sample with its percentile bootstrap interval (Efron 1979).

    Parameters
    ----------
    statistic
        Of weighted values; the estimate is that of weights of one.
    weights
        See `resampled`.
    """
    estimate = statistic(np.ones((1, weights.shape[1])))
    return percentiles(np.concatenate([estimate, statistic(weights)]))


def percentiles(values: NDArray[np.float64]) -> Interval:
    """Return an interval from a statistic of a sample and its resamples (1 + R,), or the difference of two such."""
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values[0]), float(low), float(high))


def mean(values: ArrayLike) -> Statistic:
    """Return the statistic "mean" of values (n,)."""
    x = np.asarray(values, np.float64)

    def statistic(weights: Weights) -> NDArray[np.float64]:
        means = np.empty(len(weights))
        for rows in _blocks(weights):
            w = weights[rows].astype(np.float64)
            means[rows] = w @ x / w.sum(axis=1)
        return means

    return statistic


_BLOCK = 2**20
"""Weights that are floats at a time: 8 MB."""


def _blocks(weights: Weights) -> Iterator[slice]:
    """Yield the rows of so many resamples that memory does not grow with them."""
    size = max(1, _BLOCK // weights.shape[1])
    for first in range(0, len(weights), size):
        yield slice(first, first + size)


def difference(statistic: Statistic, reference: Statistic) -> Statistic:
    """Return the difference of two statistics of the same sample."""
    return lambda weights: statistic(weights) - reference(weights)


@dataclass(frozen=True)
class Ratio(Interval):
    """A ratio over `rounds` rounds: the median of theirs, and their range."""

    rounds: int

    @property
    def certainty(self) -> float:
        """The probability that the range holds the true median."""
        return certainty(self.rounds)


def certainty(rounds: int) -> float:
    """Return the probability that the range of so many rounds holds the true median."""
    return 1 - 2.0 ** (1 - rounds)


def ratio_over_rounds(values: Sequence[float], baseline: Sequence[float]) -> Ratio:
    """Return the ratio of two things that were measured in turns: the median of the rounds' ratios, and their range.

    The range of n rounds holds the true median with probability 1 - 2^(1-n), whatever the distribution: 75 % for 3
    rounds, 94 % for 5, 98 % for 7.
    """
    if len(values) != len(baseline) or not values:
        raise ValueError(f"{len(values)} rounds and {len(baseline)} of the baseline; give as many, at least one")
    ratios = np.asarray(values, np.float64) / np.asarray(baseline, np.float64)
    return Ratio(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), len(ratios))
