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

_SAMPLE = 65536
"""Values kept of each tensor that is seen."""


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
    """Sees tensors, remembers their extremes and an even sample of their values."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf
        self._samples: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.float32]) -> None:
        """See one tensor."""
        self._low = float(np.minimum(self._low, values.min()))  # keeps a NaN
        self._high = float(np.maximum(self._high, values.max()))
        flat = values.reshape(-1)
        self._samples.append(flat[:: max(1, flat.size // _SAMPLE)].copy())

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
        values = values[:: max(1, values.size // (4 * _SAMPLE))]

        def error(a: float, b: float) -> float:
            return float(np.mean((Range.of(a, b).round_trip(values) - values) ** 2))

        high = min((high * share for share in _SHARES), key=lambda b: error(low, b))
        low = min((low * share for share in _SHARES), key=lambda a: error(a, high))
        return Range.of(low, high)
