"""How clear each decision of a step was: by how much the drawn code won, and how far each token was from the cut.

A runtime that decides otherwise where the margin is of the size of its rounding has met a near-tie; elsewhere it errs.
"""

from dataclasses import dataclass

import numpy as np

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.philox import Purpose, uniforms


@dataclass(frozen=True)
class Margins:
    """Of the M tokens that were masked before a step.

    Attributes
    ----------
    draw
        (M,) float32: the best `logit + gumbel` of a row less the second best.
    keep
        (M,) float32: the confidence less the middle of the gap at the cut, so that kept tokens are above 0; infinite
        where all stay or all go.
    """

    draw: FloatArray
    keep: FloatArray

    @property
    def least(self) -> float:
        """The smallest of all; infinite where nothing was decided."""
        return float(np.concatenate([self.draw, np.abs(self.keep)]).min(initial=np.inf))


def margins(logits: FloatArray, rows: IntArray, step: Step, *, seed: int, picture: int) -> Margins:
    """Return the margins of one picture's step.

    Parameters
    ----------
    logits
        (M, V) of the rows, guided.
    rows
        (M,) positions that were masked before the step.
    step
        What it made of them, of one picture.
    """
    codes = logits.shape[1]
    stream = uniforms(step.mask.size * codes, seed=seed, picture=picture, step=step.index, purpose=Purpose.TOKENS)
    noisy = sampler.gumbel(stream.reshape(-1, codes)[rows]) + logits
    best = np.partition(noisy, codes - 2, axis=1)[:, -2:]
    confidence, masked = step.confidence.reshape(-1)[rows], step.mask.reshape(-1)[rows]
    keep = np.full(len(rows), np.inf, np.float32)
    if masked.any() and not masked.all():
        cut = (confidence[masked].max() + confidence[~masked].min()) / np.float32(2)
        keep = confidence - cut
    return Margins(best[:, 1] - best[:, 0], keep)
