"""How a grid of tokens moves from frame to frame: by whole tokens, what is less adds up until it is one."""

import math

import numpy as np

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.tasks.clip import Clip

ENTERING = -1
"""In place of a source: nothing of the frame before is there."""

_GOLDEN = 0.618
"""Ratio, to the digits that places on a grid need."""

_TINY = 1e-9
"""Tokens by which sums of shares may be off."""


def offset(clip: Clip, frame: int, axis: int, side: int) -> int:
    """Return how many whole tokens a frame has moved since the first.

    Parameters
    ----------
    axis
        0 for x, 1 for y.
    side
        Tokens of the grid along it.

    Notes
    -----
    The sum of all motions so far times `side`, rounded to nearest, half towards 0: never more than half a token off,
    and the same to the left as to the right.
    """
    tokens = math.fsum(clip.motion_to(number)[axis] for number in range(1, frame + 1)) * side
    return _nearest(tokens)


def zoom_steps(clip: Clip, frame: int, side: int) -> int:
    """Return how many times a frame has been zoomed into since the first, each time by a token on both ends of a side;
    negative out of it. One step magnifies by `side / (side - 2)`.
    """
    if side < 4 or clip.zoom == 1.0:
        return 0
    return _nearest(frame * math.log(clip.zoom) / math.log(side / (side - 2)))


def sources(clip: Clip, frame: int, axis: int, side: int) -> IntArray:
    """Return where each place of an axis, (side,) int64, finds its token in the frame before, or `ENTERING`."""
    places = np.arange(side)
    begin, end = zoom_steps(clip, frame - 1, side), zoom_steps(clip, frame, side)
    for number in range(abs(begin), abs(end)):
        places = _follow(places, _zoomed(side, number, inwards=end > 0))
    moved = np.arange(side) + offset(clip, frame, axis, side) - offset(clip, frame - 1, axis, side)
    return _follow(places, np.where((moved >= 0) & (moved < side), moved, ENTERING))


def _zoomed(side: int, number: int, *, inwards: bool) -> IntArray:
    """Return the sources of one step of several, from 0: at each end a token goes, and within its half one is repeated;
    or one comes in at each end, and within its half one is left out.

    What is repeated is not drawn: on the demo, that tore edges apart. Multiples of the golden ratio spread the places
    over the half, as evenly after few steps as after many.
    """
    half = side // 2
    line = 1 + int((half - 1) * ((number + 1) * _GOLDEN % 1.0))
    if inwards:
        kept = np.concatenate([np.arange(1, line + 1), np.arange(line, half)])
    else:
        kept = np.concatenate([[ENTERING], np.arange(line), np.arange(line + 1, half)])
    mirrored = np.where(kept == ENTERING, ENTERING, side - 1 - kept)[::-1]
    return np.concatenate([kept, np.arange(half, side - half), mirrored])


def _follow(first: IntArray, then: IntArray) -> IntArray:
    """Return the sources of two moves, one after the other."""
    return np.where(then == ENTERING, ENTERING, first[then])


def _nearest(value: float) -> int:
    return int(math.copysign(max(0, math.ceil(abs(value) - 0.5 - _TINY)), value))
