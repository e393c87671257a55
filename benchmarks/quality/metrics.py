"""The figures of quality, one picture at a time: what they are called, which way is better, how they are averaged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.metrics.pictures import PEAK, decibels, has_ssim, psnr, squared_error, ssim
from amused_edge.benchmarks.metrics.statistics import Interval
from amused_edge.benchmarks.quality.draw import Drawn
from amused_edge.benchmarks.quality.instruments.clip_score import ClipScorer
from amused_edge.benchmarks.quality.instruments.judge import QUESTIONS, Judge
from amused_edge.benchmarks.quality.instruments.lpips import SMALLEST_SIDE, Lpips
from amused_edge.runtime.pictures import ImageArray

Values = NDArray[np.float64]
"""(n,), one number for each picture."""


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes
    ----------
    name
        In JSON and CSV.
    title
        In tables.
    better
        "higher" or "lower".
    digits
        Behind the point, in tables.
    decibels
        The values are squared errors of pixels (in CSV, too), and their mean is given as a peak signal-to-noise ratio.
    exponent
        In tables with three significant digits.
    percent
        The values are shares, given in percent.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    digits: int
    decibels: bool = False
    percent: bool = False
    exponent: bool = False

    def present(self, mean_value: Interval) -> Interval:
        """Return the mean of values (or a difference of means) in the unit of tables and results."""
        m = mean_value
        if self.decibels:
            return Interval(decibels(m.estimate), decibels(m.high), decibels(m.low))
        factor = 100.0 if self.percent else 1.0
        return Interval(factor * m.estimate, factor * m.low, factor * m.high)


TEACHER_FORCED = (
    Metric("mean_kl", "mean KL, nats", "lower", 5, exponent=True),
    Metric("total_variation", "total variation", "lower", 5, exponent=True),
    Metric("top1", "top-1, %", "higher", 2, percent=True),
    Metric("top5", "top-5, %", "higher", 2, percent=True),
    Metric("equal_draws", "equal draws, %", "higher", 2, percent=True),
    Metric("confidence_correlation", "rank correlation", "higher", 4),
)
FREE_RUNNING = (
    Metric("equal_tokens", "equal tokens, %", "higher", 1, percent=True),
    Metric("same_picture", "never diverged, %", "higher", 1, percent=True),
    Metric("reference_psnr", "PSNR, dB", "higher", 2, decibels=True),
    Metric("reference_ssim", "SSIM", "higher", 4),
)
SQUARED_ERROR = FREE_RUNNING[2]
REFERENCE_LPIPS = Metric("reference_lpips", "LPIPS", "lower", 4)
"""Compared with the reference."""

TRUTH = (
    Metric("truth_psnr", "PSNR, dB", "higher", 2),
    Metric("truth_ssim", "SSIM", "higher", 4),
)
TRUTH_LPIPS = Metric("truth_lpips", "LPIPS", "lower", 4)
ANSWERS = tuple(Metric(question, f"{question}, %", "higher", 1, percent=True) for question in QUESTIONS)
"""Compared with the true pictures."""

CLIP = Metric("clip_score", "CLIP score", "higher", 2)

METRICS = {
    metric.name: metric
    for metric in (*TEACHER_FORCED, *FREE_RUNNING, REFERENCE_LPIPS, *TRUTH, TRUTH_LPIPS, *ANSWERS, CLIP)
}
"""All of them, by name."""


@dataclass(frozen=True)
class Instruments:
    """What pictures are measured with, beside NumPy; None where there is none."""

    lpips: Lpips | None = None
    judge: Judge | None = None
    clip: ClipScorer | None = None


def teacher_forced(drawn: Sequence[Drawn]) -> dict[Metric, Values]:
    """Return the fidelity of logits, the mean over all masked rows of each picture."""
    logits = [each.logits for each in drawn]
    return {m: np.array([each[m.name] for each in logits if each is not None]) for m in TEACHER_FORCED if all(logits)}


def free_running(
    drawn: Sequence[Drawn], reference: Sequence[ImageArray], images: Sequence[ImageArray], tools: Instruments
) -> dict[Metric, Values]:
    """Return how far pictures that a subject drew by itself are from the reference's."""
    tokens, same, error, structure = FREE_RUNNING
    values = {
        tokens: np.array([each.equal_tokens for each in drawn]),
        same: np.array([float(each.first_diverging_step is None) for each in drawn]),
        error: np.array([squared_error(a, b) for a, b in _pairs(reference, images)]),
    }
    if has_ssim(images[0].shape):
        values[structure] = similarity(reference, images)
    if tools.lpips is not None and min(images[0].shape[:2]) >= SMALLEST_SIDE:
        values[REFERENCE_LPIPS] = tools.lpips(reference, images)
    return values


def by_judge(prompts: Sequence[str], images: Sequence[ImageArray], tools: Instruments) -> dict[Metric, Values]:
    """Return how far pictures are from the true ones, and whether they show what was asked for."""
    if tools.judge is None:
        return {}
    truths = [tools.judge.truth(prompt) for prompt in prompts]
    ratio, structure = TRUTH
    values = {ratio: peak_ratios(truths, images)}
    if has_ssim(images[0].shape):
        values[structure] = similarity(truths, images)
    if tools.lpips is not None and min(images[0].shape[:2]) >= SMALLEST_SIDE:
        values[TRUTH_LPIPS] = tools.lpips(truths, images)
    answers = tools.judge.answers(prompts, images)
    return {**values, **{metric: answers[metric.name] for metric in ANSWERS}}


_EQUAL = 10 * math.log10(PEAK**2 * 12)
"""In dB: what rounding to whole numbers alone costs, for a picture that equals the other one."""


def by_clip(prompts: Sequence[str], images: Sequence[ImageArray], tools: Instruments) -> dict[Metric, Values]:
    """Return how well pictures fit their prompts."""
    return {} if tools.clip is None else {CLIP: tools.clip(prompts, images)}


def peak_ratios(reference: Sequence[ImageArray], images: Sequence[ImageArray]) -> Values:
    """Return the PSNR of each pair in dB, at most 59 where they are equal: their mean is finite."""
    return np.array([min(psnr(a, b), _EQUAL) for a, b in _pairs(reference, images)])


def similarity(reference: Sequence[ImageArray], images: Sequence[ImageArray]) -> Values:
    """Return the SSIM of each pair, whose shape has one."""
    return np.array([ssim(a, b) for a, b in _pairs(reference, images)])


def _pairs(a: Sequence[ImageArray], b: Sequence[ImageArray]) -> "zip[tuple[ImageArray, ImageArray]]":
    return zip(a, b, strict=True)


Scores = Mapping[str, Mapping[Metric, Values]]
"""Label -> metric -> values."""
