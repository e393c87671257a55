"""Ranges of activations: from values seen at calibration to the scale and zero point of 8 bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.recipes.rules import Ranges

LEVELS = 255
_TAIL = 1e-4
"""Share of values that "percentile" cuts on each side."""

_SHARES = np.linspace(0.3, 1.0, 36)
"""Shares of the whole range that "mse" tries on each side."""

_SAMPLE = 2**16
"""Values kept of each tensor that is seen, at first."""

_MOST = 2**21
"""Values kept of all of them; where there are more, each gives fewer."""

_TRIED = 2**18
"""Values whose error "mse" computes."""


@dataclass(frozen=True)
class Range:
    """An affine grid of 256 steps: `value = (code - zero_point) * scale`."""

    scale: float
    zero_point: int

    @staticmethod
    def of(low: float, high: float) -> "Range":
        """Return the grid that spans [low, high] and has zero among its values."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / LEVELS
        if scale < float(np.finfo(np.float32).tiny):
            return Range(1.0, 0)
        return Range(float(np.float32(scale)), round(-low / scale))

    def round_trip(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values as they come back from 8 bits."""
        codes = np.clip(np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point, 0, LEVELS)
        rounded: NDArray[np.float64] = (codes - self.zero_point) * self.scale
        return rounded


class RangeObserver:
    """Sees tensors, remembers their extremes and a random sample of their values.

    Random, and not every n-th: in a matrix of 256 columns, every 96th value is one of 8 columns.
    """

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf
        self._samples: list[NDArray[np.float32]] = []
        self._share = 1.0
        self._random = np.random.Generator(np.random.Philox(0))

    def add(self, values: NDArray[np.float32]) -> None:
        """See one tensor."""
        self._low = float(np.minimum(self._low, values.min()))  # keeps a NaN
        self._high = float(np.maximum(self._high, values.max()))
        kept = int(min(values.size, _SAMPLE) * self._share)
        self._samples.append(self._some(values.reshape(-1), max(1, kept)))
        if sum(map(len, self._samples)) > _MOST:
            self._share /= 2
            self._samples = [self._some(sample, max(1, len(sample) // 2)) for sample in self._samples]

    def _some(self, values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return so many of the values, or all if there are no more."""
        if values.size <= count:
            return values.copy()
        return values[self._random.integers(0, values.size, count)]

    def range(self, kind: Ranges) -> Range:
        """Return the range of what was seen; raises `ValueError` if that is nothing, or was not finite."""
        if not self._samples:
            raise ValueError("no tensor was seen")
        if not np.isfinite([self._low, self._high]).all():
            raise ValueError(f"its values range from {self._low} to {self._high}")
        if kind == "minmax":
            return Range.of(self._low, self._high)
        values = np.concatenate(self._samples)
        if kind == "percentile":
            low, high = np.quantile(values, [_TAIL, 1 - _TAIL])
            return Range.of(float(low), float(high))
        return self._least_squares(values)

    def _least_squares(self, values: NDArray[np.float32]) -> Range:
        """Shrink the upper, then the lower end, each to the share with the least squared error."""
        low, high = min(self._low, 0.0), max(self._high, 0.0)
        values = self._some(values, _TRIED)

        def error(a: float, b: float) -> float:
            return float(np.mean((Range.of(a, b).round_trip(values) - values) ** 2))

        high = min((high * share for share in _SHARES), key=lambda b: error(low, b))
        low = min((low * share for share in _SHARES), key=lambda a: error(a, high))
        return Range.of(low, high)
