"""What a device tells beside times: whether it computes rightly, and how its pictures slow down as it grows warm."""

from dataclasses import dataclass

from amused_edge.benchmarks.device.fields import finite, only, optional_finite, text, whole
from amused_edge.runtime.bundle.json_fields import Fields


@dataclass(frozen=True)
class Golden:
    """A bundle's golden check on the device, as `GoldenReport`.

    Attributes
    ----------
    logit_error
        Largest |difference|, relative to the largest |logit|.
    equal_tokens
        Share of the grid, 0 to 1.
    pixel_error
        Of 255.
    reproduced
        Whether all is within the bundle's tolerance.
    """

    label: str
    same_ids: bool
    logit_error: float
    equal_tokens: float
    pixel_error: int
    reproduced: bool


@dataclass(frozen=True)
class Course:
    """One picture of the run, in order.

    Attributes
    ----------
    round
        From 0.
    at
        Seconds from the begin of the run to the picture's.
    seconds
        That it took.
    thermal
        What the device said of its heat then, for example "moderate"; "" where it says nothing.
    celsius
        Of what the device can tell, often the battery; None where it cannot.
    """

    label: str
    round: int
    at: float
    seconds: float
    thermal: str
    celsius: float | None


def read_golden(fields: Fields) -> Golden:
    """Read one of `golden`."""
    names = {"label", "same_ids", "logit_error", "equal_tokens", "pixel_error", "reproduced"}
    only(fields, "a golden check", frozenset(names))
    return Golden(
        text(fields, "label"),
        fields.get("same_ids", bool),
        finite(fields, "logit_error"),
        finite(fields, "equal_tokens"),
        whole(fields, "pixel_error", 0),
        fields.get("reproduced", bool),
    )


def read_course(fields: Fields) -> Course:
    """Read one of `course`."""
    only(fields, "a picture of the course", frozenset({"label", "round", "at", "seconds", "thermal", "celsius"}))
    return Course(
        text(fields, "label"),
        whole(fields, "round", 0),
        finite(fields, "at"),
        finite(fields, "seconds"),
        text(fields, "thermal"),
        optional_finite(fields, "celsius", -273.15),
    )
