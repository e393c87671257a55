"""What a moving picture is asked to do: how many frames, how they move, how much of each is drawn anew."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypedDict, get_args

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.checks import choice, real_number, whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.sampling.schedule import SCHEDULES, Schedule

Vector = tuple[float, float]

Pan = Literal["left", "right", "up", "down"]
PANS: tuple[str, ...] = get_args(Pan)
Zoom = Literal["in", "out"]
ZOOMS: tuple[str, ...] = get_args(Zoom)

MOTION: Vector = (1 / 32, 1 / 32)
"""What the reference's 12 pixels of 512 come to on its grid: one of 32 tokens a frame."""
REFRESH = 0.13
"""The reference's."""

NOISE_STEPS = 2**32
"""Steps between the random numbers of two frames, see docs/random-numbers.md."""

_PAN_SHARE = 1 / 16
_ZOOM_FACTOR = 1.06
_MOST_FRAMES = 10_000
_MOST_ZOOM = 2.0
_TINY = 1e-9
_DIRECTIONS: dict[str, Vector] = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}


@dataclass(frozen=True, init=False)
class Clip:
    """A moving picture, beside the task that draws its first frame.

    Attributes
    ----------
    frames
        2 to 10,000.
    motion
        (x, y), shares of the picture's width and height per frame, each -1 to 1: the same for all frames, or one for
        each frame after the first (of a loop, one more, which leads from the last to the first). Positive values
        look further right and down: new content comes in from there. None is 1/32 each, or none at all where the
        clip zooms or is a loop. The motions of a loop come to 0 in all, or to a picture or more around.
    zoom
        Factor per frame, 0.5 to 2, above 1 into the picture.
    refresh
        Share, 0 to 1, of the tokens that a frame has from the one before that is drawn anew all the same: one for all
        frames, or one for each after the first.
    loop
        Whether the last frame leads to the first.

    Raises
    ------
    OptionsError
        A value is out of range, or there are too few or too many.
    """

    frames: int
    motion: tuple[Vector, ...]
    zoom: float
    refresh: tuple[float, ...]
    loop: bool

    def __init__(
        self,
        frames: int = 8,
        motion: Vector | Sequence[Vector] | None = None,
        zoom: float = 1.0,
        refresh: float | Sequence[float] = REFRESH,
        loop: bool = False,
    ) -> None:
        if motion is None:
            motion = MOTION if zoom == 1.0 and not loop else (0.0, 0.0)
        values = {
            "frames": whole_number("frames", frames, minimum=2, maximum=_MOST_FRAMES),
            "motion": vectors(motion),
            "zoom": real_number("zoom", zoom),
            "refresh": _refresh(refresh),
            "loop": bool(loop),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if not 1 / _MOST_ZOOM <= self.zoom <= _MOST_ZOOM:
            raise OptionsError(f"zoom is {self.zoom:g}; it is a factor per frame, between 0.5 and 2")
        _check_count("motions", self.motion, self.frames - 1 + self.loop, self.frames)
        _check_count("refresh shares", self.refresh, self.frames - 1, self.frames)
        if self.loop:
            _check_loop(self)

    def motion_to(self, frame: int) -> Vector:
        """Return the motion that leads to a frame from the one before; `frames` is the first one again, of a loop."""
        return self.motion[0] if len(self.motion) == 1 else self.motion[frame - 1]

    def refresh_of(self, frame: int) -> float:
        """Return the share of a frame, from 1, that is drawn anew."""
        return self.refresh[0] if len(self.refresh) == 1 else self.refresh[frame - 1]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "frames": self.frames,
            "motion": [list(vector) for vector in self.motion],
            "zoom": self.zoom,
            "refresh": list(self.refresh),
            "loop": self.loop,
        }

    @staticmethod
    def read(values: Fields) -> "Clip":
        """Read what `to_dict` returned; raises `OptionsError`, or what the fields raise."""
        return Clip(
            values.get("frames", int),
            values.get("motion", list),
            values.get("zoom", float),
            values.get("refresh", list),
            values.get("loop", bool),
        )


@dataclass(frozen=True)
class ClipFrame:
    """What makes a picture one frame of a clip.

    Attributes
    ----------
    frame
        From 0.
    first_schedule
        Of the first frame; that of all others is linear.
    """

    clip: Clip
    frame: int
    first_schedule: Schedule

    def __post_init__(self) -> None:
        whole_number("frame", self.frame, minimum=0, maximum=self.clip.frames - 1)
        choice("first_schedule", self.first_schedule, SCHEDULES)

    @property
    def noise_step(self) -> int:
        """What is added to a step's number where its random numbers are looked up."""
        return self.frame * NOISE_STEPS

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**self.clip.to_dict(), "frame": self.frame, "first_schedule": self.first_schedule}

    @staticmethod
    def read(values: Fields) -> "ClipFrame":
        """Read what `to_dict` returned; raises `OptionsError`, or what the fields raise."""
        schedule: Any = values.get("first_schedule", str)
        return ClipFrame(Clip.read(values), values.get("frame", int), schedule)


class Preset(TypedDict, total=False):
    """Fields of a `Clip`."""

    motion: Vector
    zoom: float
    refresh: float


def pan(direction: Pan, frames: int = 8, *, loop: bool = False) -> Preset:
    """Return what makes a clip whose camera turns to a side: by 1/16 of the picture per frame, or once around where it
    is a loop. Nothing but what enters is drawn.
    """
    x, y = _DIRECTIONS[choice("pan", direction, PANS)]
    share = 1 / frames if loop else _PAN_SHARE
    return {"motion": (x * share, y * share), "refresh": 0.0}


def zoom(direction: Zoom) -> Preset:
    """Return what makes a clip whose camera goes in or out, by 6 % per frame. Nothing but what enters is drawn."""
    factor = _ZOOM_FACTOR if choice("zoom", direction, ZOOMS) == "in" else 1 / _ZOOM_FACTOR
    return {"zoom": factor, "refresh": 0.0}


def vectors(value: object) -> tuple[Vector, ...]:
    """Return a pair (x, y), or a list of pairs, as pairs; raises `OptionsError` as `Clip` does."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not len(value):
        raise OptionsError(f"motion is {quoted(value)}; give a pair (x, y), or a list of pairs")
    pairs = (value,) if isinstance(value[0], Real) else value
    return tuple(_vector(pair) for pair in pairs)


def _vector(value: object) -> Vector:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise OptionsError(f"a motion is {quoted(value)}; give a pair (x, y) of shares of the picture")
    shares = [_share(number) for number in value]
    if not all(abs(share) <= 1.0 for share in shares):
        raise OptionsError(f"a motion is {quoted(value)}; its shares of the picture per frame are between -1 and 1")
    return (shares[0], shares[1])


def _share(value: object) -> float:
    """Return a number as a float; NaN where it is none, or too large for one, as numbers in JSON may be."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _refresh(value: object) -> tuple[float, ...]:
    values = (value,) if isinstance(value, Real) else value
    if not isinstance(values, Sequence) or isinstance(values, str) or not len(values):
        raise OptionsError(f"refresh is {quoted(value)}; give a share, or a list of shares")
    shares = tuple(real_number("refresh", share) for share in values)
    if max(shares) > 1.0:
        raise OptionsError(f"refresh is {max(shares):g}; it must be between 0 and 1")
    return shares


def _check_count(name: str, values: tuple[Any, ...], needed: int, frames: int) -> None:
    if len(values) not in (1, needed):
        raise OptionsError(f"{len(values)} {name} for a clip of {frames} frames; give one for all, or {needed}")


def _check_loop(clip: Clip) -> None:
    """Raise where the last frame cannot lead to the first: it shows another part of what is seen."""
    if clip.zoom != 1.0:
        raise OptionsError(f"zoom is {clip.zoom:g} and the clip a loop; what is zoomed does not lead back")
    for axis, name in enumerate("xy"):
        way = math.fsum(clip.motion_to(frame)[axis] for frame in range(1, clip.frames + 1))
        if _TINY < abs(way) < 1.0 - _TINY:
            raise OptionsError(
                f"the motions of the loop come to {way:g} of the picture in {name}; let them come back to 0, or go a "
                "whole picture or more around"
            )
