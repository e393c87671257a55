"""What was measured at full size, and how far predictions are from it. docs/benchmarks.md has each of these figures."""

from dataclasses import dataclass, replace
from typing import Literal

from amused_edge.benchmarks.prediction import memory, time
from amused_edge.benchmarks.prediction.shape import Kind, Shape
from amused_edge.runtime.bundle.manifest import ROLES, Optimization

_PROMPT_BYTES = 20_000_000
"""Conditioning of a prompt, of both models."""

MB = 1e6


@dataclass(frozen=True)
class Measured:
    """A row of a benchmark on two cores of an AMD EPYC (Zen 4), 12 steps with guidance.

    Attributes
    ----------
    recipe
        Or "float32".
    peak
        Highest resident memory, in MB; without the text encoder unless `encoded`.
    seconds
        Of a picture; None where the machine's peaks were not measured beside it.
    floats, codes
        Those peaks, in 10^9 operations a second.
    """

    recipe: str
    optimize: Optimization
    side: int
    peak: float
    mode: Literal["kept", "low"] = "kept"
    encoded: bool = False
    seconds: float | None = None
    floats: float = 0.0
    codes: float = 0.0

    @property
    def shape(self) -> Shape:
        """What its manifest said."""
        sizes = (494.7, 867.6, 1544.6, 350.2, 236.9)
        kinds: dict[str, Kind] = dict.fromkeys(ROLES, "float32")
        files = {role: round(size * MB) for role, size in zip(ROLES, sizes, strict=True)}
        grid = (self.side // 16) ** 2
        shape = Shape(
            files, kinds, dict.fromkeys(ROLES, 32.0), self.optimize, _PROMPT_BYTES, grid * 8192 * 4, self.side**2,
            tokens=256, layers=22, width=1024, steps=12, branches=2,
        )  # fmt: skip
        made = shape if self.recipe == "float32" else shape.by_recipe(self.recipe)
        left = {role: size for role, size in made.files.items() if self.encoded or role != "text_encoder"}
        return replace(made, files=left)


MEASURED = (
    Measured("float32", "portable", 256, 3827, seconds=30.2, floats=188, codes=737),
    Measured("fp16", "portable", 256, 4171),
    Measured("w8", "portable", 256, 1942),
    Measured("w4", "portable", 256, 1642),
    Measured("w8a8", "portable", 256, 1758, seconds=9.6, floats=198, codes=757),
    Measured("float32", "cpu", 256, 3715, seconds=28.7, floats=202, codes=837),
    Measured("w8a8", "cpu", 256, 1463, seconds=9.69, floats=202, codes=763),
    Measured("w8a8", "cpu", 256, 1565, encoded=True),
    Measured("w8a8", "cpu", 256, 618, mode="low", encoded=True),
    Measured("float32", "cpu", 512, 5363, seconds=40.5, floats=201, codes=823),
    Measured("w8a8", "cpu", 512, 2652, seconds=13.5, floats=201, codes=820),
)


def memory_errors() -> list[float]:
    """Return how far each predicted peak is above (or below) the measured one, as a share of it."""
    return [getattr(memory, row.mode)(row.shape) / (row.peak * MB) - 1 for row in MEASURED]


def time_errors() -> list[float]:
    """Return the same of the seconds of a picture."""
    return [
        time.seconds(row.shape, row.floats * 1e9, row.codes * 1e9) / row.seconds - 1
        for row in MEASURED
        if row.seconds is not None
    ]
