"""Logits of a denoiser with a row cache, of one picture after the other."""

import numpy as np

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.drawing.conditioning import Conditioning
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import SamplerSettings


class KeptRows:
    """A `LogitSource` that remembers: it is asked once at each step of a picture, which begins with all tokens masked.

    Attributes
    ----------
    share
        Of the rows that the layers computed in the last call.
    """

    def __init__(self, pipeline: AmusedPipeline, conditioning: Conditioning, settings: SamplerSettings) -> None:
        self._pipeline = pipeline
        self._conditioning = conditioning
        self._settings = settings
        self._begin()

    def __call__(self, tokens: IntArray, rows: IntArray) -> FloatArray:
        """Return guided logits (M, V) of the rows (M,)."""
        if len(rows) == tokens.size:
            self._begin()
        found = self._cache(self._pipeline.graph("denoiser"), self._step, tokens, self._conditioning)
        self._step += 1
        self.share = self._cache.share
        return guided([np.asarray(logits[rows]) for logits in found], self._settings.guidance_scale)

    def _begin(self) -> None:
        denoiser, mask = self._pipeline.bundle.graph("denoiser"), self._pipeline.geometry.mask_token_id
        self._cache, self._step = RowCache(denoiser, self._settings.row_cache, mask), 0
        self.share = 1.0
