"""From pictures to figures with intervals: the figures of `results.json`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics.sets import KidKernels, Rows, fid
from amused_edge.benchmarks.metrics.statistics import (
    Interval,
    Statistic,
    mean,
    percentiles,
    sample_and_resamples,
)
from amused_edge.benchmarks.quality.metrics import Metric, Scores

KID_FACTOR = 1000.0

Replicates = NDArray[np.float64]
"""(1 + R,): a statistic of the prompts, and of each resample."""


@dataclass(frozen=True)
class Figure:
    """One figure of one subject.

    Attributes
    ----------
    value
        With its bootstrap interval over prompts; FID has none (resamples hold pictures twice, which biases it), its
        bounds are its value.
    against_reference
        The difference to the reference's figure, over the same resamples of prompts. Where its interval holds 0, there
        is none. None for the reference, and for figures that compare with it themselves.
    """

    label: str
    metric: str
    value: Interval
    against_reference: Interval | None


@dataclass(frozen=True)
class SetScores:
    """One subject's pictures as a set, against another set.

    Attributes
    ----------
    kid
        Times 1000.
    fid
        None where pictures are not more than features.
    """

    kid: Statistic
    fid: float | None


def kid_metric(name: str) -> Metric:
    """Return the metric of the KID against a set of this name."""
    return Metric(f"{name}_kid", "KID x 1000", "lower", 3)


def fid_metric(name: str) -> Metric:
    """Return the metric of the FID against a set of this name."""
    return Metric(f"{name}_fid", "FID", "lower", 2)


def set_scores(features: Rows, others: Rows, *, paired: bool) -> SetScores:
    """Compare sets of two pictures or more by their features; `paired` as in `kid`."""
    kernels = KidKernels(features, others, paired=paired)
    enough = min(features.shape[0], others.shape[0]) > features.shape[1]
    return SetScores(lambda weights: KID_FACTOR * kernels.weighted(weights), fid(features, others) if enough else None)


Sets = Mapping[str, Mapping[str, SetScores]]
"""Name of the other set -> label -> scores."""


def figures(scores: Scores, sets: Sets, reference: str, count: int) -> list[Figure]:
    """Return all figures; `count` is how many prompts there are."""
    weights = sample_and_resamples(count)
    result = []
    for label, metrics in scores.items():
        for metric, values in metrics.items():
            references = scores[reference].get(metric) if label != reference else None
            against = None if references is None else mean(references)(weights)
            result.append(_figure(label, metric, mean(values)(weights), against))
    for name, members in sets.items():
        # Each once: a pass over all pairs of pictures.
        found = {label: each.kid(weights) for label, each in members.items()}
        for label, each in members.items():
            against = found.get(reference) if label != reference else None
            result.append(_figure(label, kid_metric(name), found[label], against))
            if each.fid is not None:
                result.append(Figure(label, fid_metric(name).name, Interval(each.fid, each.fid, each.fid), None))
    return result


def _figure(label: str, metric: Metric, values: Replicates, reference: Replicates | None) -> Figure:
    """Return a figure from the statistic of the prompts and of each resample, and that of the reference's."""
    value = metric.present(percentiles(values))
    if reference is None:
        return Figure(label, metric.name, value, None)
    return Figure(label, metric.name, value, metric.present(percentiles(values - reference)))


def per_picture(scores: Scores, prompts: Sequence[str]) -> Iterator[list[object]]:
    """Yield rows of a table, the header first: a row for each subject and prompt."""
    metrics = list(dict.fromkeys(metric for each in scores.values() for metric in each))
    yield ["label", "number", "prompt", *(metric.name for metric in metrics)]
    for label, values in scores.items():
        for number, prompt in enumerate(prompts):
            numbers = (values[metric][number] if metric in values else np.nan for metric in metrics)
            yield [label, number, prompt, *("" if np.isnan(x) else f"{x:.6g}" for x in numbers)]
