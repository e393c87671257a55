"""The one figure of quality that a comparison is made by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amused_edge.benchmarks.metrics.pictures import has_ssim
from amused_edge.benchmarks.quality.metrics import (
    CLIP,
    TRUTH,
    Instruments,
    Metric,
    Values,
    by_clip,
    by_judge,
    peak_ratios,
    similarity,
)
from amused_edge.runtime.pictures import ImageArray

Measure = Callable[[str, int, ImageArray], float]
"""(prompt, its number, its picture) -> a value: each picture's alone."""


@dataclass(frozen=True)
class Merit:
    """A metric, how it is taken of a picture, and a sentence on what it is worth."""

    metric: Metric
    measure: Measure
    about: str


def choose_merit(tools: Instruments, best: Callable[[int], ImageArray], size: tuple[int, int]) -> Merit:
    """Return the best figure that can be had: the judge's, then CLIP's, then likeness to the reference.

    Parameters
    ----------
    best
        Gives the reference's picture with the most steps, by a prompt's number.
    size
        Height and width of the pictures.
    """
    if tools.judge is not None:
        metric = TRUTH[0]
        about = "Quality: PSNR to the true picture of each prompt, the mean over pictures."
        return Merit(metric, lambda prompt, _, image: _pick(by_judge([prompt], [image], tools), metric), about)
    if tools.clip is not None:
        about = "Quality: CLIP score, how well each picture fits its prompt."
        return Merit(CLIP, lambda prompt, _, image: _pick(by_clip([prompt], [image], tools), CLIP), about)
    measured = "SSIM" if has_ssim(size) else "PSNR"
    about = (
        f"Quality: {measured} to what the first bundle draws with the most steps and its first guidance scale. That "
        "tells who draws the same, not who draws better; a judge or a CLIP tells that."
    )
    if measured == "SSIM":
        likeness, compare = Metric("likeness", "SSIM to the reference", "higher", 4), similarity
    else:
        likeness, compare = Metric("likeness_psnr", "PSNR to the reference, dB", "higher", 2), peak_ratios
    return Merit(likeness, lambda _, index, image: float(compare([best(index)], [image])[0]), about)


def _pick(values: Mapping[Metric, Values], metric: Metric) -> float:
    return float(values[metric][0])
