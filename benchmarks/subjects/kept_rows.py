"""Logits of a denoiser with a row cache, of one picture after the other."""

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.drawing.conditioning import Conditioning
from amused_edge.runtime.drawing.draw import guided
from amused_edge.runtime.drawing.row_cache import RowCache
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import SamplerSettings


class KeptRows:
    """A `LogitSource` that remembers: asked once at each step of a picture, which begins with all tokens masked."""

    def __init__(self, pipeline: AmusedPipeline, conditioning: Conditioning, settings: SamplerSettings) -> None:
        self._pipeline = pipeline
        self._conditioning = conditioning
        self._settings = settings
        self._begin()

    @property
    def share(self) -> float:
        """Of the rows, how many the layers computed in the last call."""
        return self._cache.share

    def __call__(self, tokens: IntArray, rows: IntArray) -> FloatArray:
        """Return guided logits (M, V) of the rows (M,)."""
        if len(rows) == tokens.size:
            self._begin()
        found = self._cache(self._pipeline.graph("denoiser"), self._step, tokens, self._conditioning)
        self._step += 1
        return guided([logits[rows] for logits in found], self._settings.guidance_scale)

    def _begin(self) -> None:
        denoiser, mask = self._pipeline.bundle.graph("denoiser"), self._pipeline.geometry.mask_token_id
        self._cache, self._step = RowCache(denoiser, self._settings.row_cache, mask), 0
