"""Logits of a denoiser with a row cache, of one picture after the other."""

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.drawing.conditioning import Conditioning, rows_of
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import SamplerSettings


class KeptRows:
    """A `LogitSource` that remembers: it is asked at each step of a picture once, from the first."""

    def __init__(self, pipeline: AmusedPipeline, conditioning: Conditioning, settings: SamplerSettings) -> None:
        self._pipeline = pipeline
        self._conditioning = conditioning
        self._settings = settings
        self._cache = self._empty()

    @property
    def share(self) -> float:
        """Of the rows, how many the layers computed in the last call."""
        return self._cache.share

    def __call__(self, step: int, tokens: IntArray, rows: IntArray) -> FloatArray:
        """Return guided logits (M, V) of the rows (M,)."""
        if step == 0:
            self._cache = self._empty()
        scale = self._settings.guidance_at(step)
        found = self._cache(self._pipeline.graph("denoiser"), step, tokens, rows_of(self._conditioning, scale))
        return guided([logits[rows] for logits in found], scale)

    def _empty(self) -> RowCache:
        mask = self._pipeline.geometry.mask_token_id
        return RowCache(self._pipeline.bundle.graph("denoiser"), self._settings.row_cache, mask)
