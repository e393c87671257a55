"""The one figure of quality that a comparison is made by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from amused_edge.benchmarks.quality.metrics import (
    CLIP,
    TRUTH,
    Instruments,
    Metric,
    Values,
    by_clip,
    by_judge,
    similarity,
)
from amused_edge.runtime.pictures import ImageArray

Measure = Callable[[Sequence[ImageArray]], Values]
"""Pictures of the prompts -> (n,)."""


@dataclass(frozen=True)
class Merit:
    """A metric, how it is taken of pictures, and a sentence on what it is worth."""

    metric: Metric
    measure: Measure
    about: str


def choose_merit(prompts: Sequence[str], tools: Instruments, best: Callable[[], Sequence[ImageArray]]) -> Merit:
    """Return the best figure that can be had: the judge's, then CLIP's, then likeness to the reference.

    Parameters
    ----------
    best
        Gives the reference's pictures with the most steps.
    """
    if tools.judge is not None:
        metric = TRUTH[0]
        about = "Quality: PSNR to the true picture of each prompt, the mean over pictures."
        return Merit(metric, lambda images: _pick(by_judge(prompts, images, tools), metric), about)
    if tools.clip is not None:
        about = "Quality: CLIP score, how well each picture fits its prompt."
        return Merit(CLIP, lambda images: _pick(by_clip(prompts, images, tools), CLIP), about)
    reference = best()
    metric = Metric("likeness", "SSIM to the reference", "higher", 4)
    about = (
        "Quality: SSIM to what the first bundle draws with the most steps and its first guidance scale. That tells who "
        "draws the same, not who draws better; a judge or a CLIP tells that."
    )
    return Merit(metric, lambda images: similarity(reference, images), about)


def _pick(values: Mapping[Metric, Values], metric: Metric) -> Values:
    return values[metric]
