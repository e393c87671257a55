"""A set of vectors: what is given, what the runtime answers, and how far another may be from that."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amused_edge.runtime.errors import AmusedEdgeError

FORMAT, VERSION = "amused-edge conformance vectors", 1

Values = dict[str, Any]
"""Plain values, as JSON has them."""


@dataclass(frozen=True)
class Tolerance:
    """How far a number may be from the one that is expected: `absolute + relative * |expected|`."""

    absolute: float
    relative: float = 0.0


@dataclass(frozen=True)
class VectorSet:
    """Vectors of one kind.

    Attributes
    ----------
    name
        Of the set and of its file.
    about
        What it holds, in a sentence.
    given
        Returns what is given in each case.
    answer
        What the runtime makes of it. An error that the runtime raises on purpose is an answer too, see `answered`.
    tolerance
        Fields of the answer that are not exact.
    """

    name: str
    about: str
    given: Callable[[], list[Values]]
    answer: Callable[[Values], Values]
    tolerance: dict[str, Tolerance] = field(default_factory=dict)

    def make(self) -> Values:
        """Return the content of the set's file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "set": self.name,
            "about": self.about,
            "tolerance": {
                name: {"absolute": far.absolute, "relative": far.relative} for name, far in self.tolerance.items()
            },
            "cases": [{"given": given, "expect": self.answered(given)} for given in self.given()],
        }

    def answered(self, given: Values) -> Values:
        """Return the runtime's answer; of an error its kind."""
        try:
            return self.answer(given)
        except AmusedEdgeError as error:
            return {"error": type(error).__name__}

    def missing(self) -> str | None:
        """Return why the set cannot be run here, or None."""
        return None

    def check(self, case: Values) -> tuple[list[str], int]:
        """Return where the runtime's answer to a case is not the one that is expected, and how many near-ties went
        otherwise.
        """
        return differences(case["expect"], self.answered(case["given"]), self.tolerance), 0


def differences(expected: Any, found: Any, tolerance: dict[str, Tolerance], place: str = "") -> list[str]:
    """Compare plain values; numbers under a field that has a tolerance may be that far from each other."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return [
            line
            for name, value in expected.items()
            for line in differences(value, found[name], tolerance, f"{place}.{name}" if place else name)
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, tolerance, f"{place}[{i}]")]
    if _equal(expected, found, tolerance.get(_field(place))):
        return []
    return [f"{place} is {_short(found)}, not {_short(expected)}"]


def _field(place: str) -> str:
    return place.rpartition(".")[2].partition("[")[0]


def _equal(expected: Any, found: Any, far: Tolerance | None) -> bool:
    if far is None or not all(type(value) in (int, float) for value in (expected, found)):
        return bool(expected == found)
    return math.isfinite(found) and abs(found - expected) <= far.absolute + far.relative * abs(expected)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
