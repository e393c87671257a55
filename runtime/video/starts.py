"""Where a frame after the first starts: the tokens of the one before, moved, and what of them is masked."""

import numpy as np

from amused_edge.runtime.arrays import BoolArray, FloatArray, IntArray
from amused_edge.runtime.drawing.starts import Start
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.tasks.clip import NOISE_STEPS, Clip, ClipFrame
from amused_edge.runtime.video.motion import ENTERING, offset, sources


def frame_start(
    before: IntArray, first: IntArray, place: ClipFrame, mask_token_id: int, *, seed: int, picture: int
) -> Start:
    """Return where a frame of a clip, from 1, starts.

    What enters is masked, and of the tokens that are left the share that the clip asks for: exactly that many, where
    the reference draws for each whether it is. The schedule starts from the share of the grid that is masked then.

    Parameters
    ----------
    before, first
        (h, w) int64 tokens of the frame before and of the first.

    Notes
    -----
    Text2Video-Zero (Khachatryan et al., 2023, arXiv 2303.13439) brought to tokens, as in arXiv 2401.01808; loops are
    our own.
    """
    clip, frame = place.clip, place.frame
    tokens = move(before, clip, frame, mask_token_id)
    noise = _noise(tokens.shape, seed, picture, frame)
    known = tokens != mask_token_id
    tokens[lowest(np.where(known, noise, np.inf), clip.refresh_of(frame))] = mask_token_id
    if clip.loop:
        order = _noise(tokens.shape, seed, picture, clip.frames)
        tokens = _led_back(tokens, first, place, noise, order, mask_token_id)
    share = float(np.float32((tokens == mask_token_id).mean()))
    return Start(tokens, 0, share or 1.0)


def move(tokens: IntArray, clip: Clip, frame: int, mask_token_id: int) -> IntArray:
    """Return the tokens (h, w) of the frame before as they lie in this one; the mask id where something enters."""
    height, width = tokens.shape
    return _taken(tokens, sources(clip, frame, 1, height), sources(clip, frame, 0, width), mask_token_id)


def entering(clip: Clip, frame: int, shape: tuple[int, ...]) -> BoolArray:
    """Return where something enters that was not in the frame before, (h, w)."""
    rows, columns = sources(clip, frame, 1, shape[0]), sources(clip, frame, 0, shape[1])
    return _outside(rows, columns)


def lowest(noise: FloatArray, share: float) -> BoolArray:
    """Choose a share, rounded, of the places (h, w) whose noise is finite: those with the least."""
    count = int(np.floor(share * np.isfinite(noise).sum() + 0.5))
    chosen = np.zeros(noise.size, np.bool_)
    chosen[np.argsort(noise, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(noise.shape)


def _taken(tokens: IntArray, rows: IntArray, columns: IntArray, mask_token_id: int) -> IntArray:
    return np.where(_outside(rows, columns), np.int64(mask_token_id), tokens[rows[:, None], columns[None]])


def _outside(rows: IntArray, columns: IntArray) -> BoolArray:
    return np.asarray((rows == ENTERING)[:, None] | (columns == ENTERING)[None])


def _noise(shape: tuple[int, ...], seed: int, picture: int, frame: int) -> FloatArray:
    count, step = int(np.prod(shape)), frame * NOISE_STEPS
    return uniforms(count, seed=seed, picture=picture, step=step, purpose=Purpose.START_MASK).reshape(shape)


def _led_back(
    tokens: IntArray, first: IntArray, place: ClipFrame, noise: FloatArray, order: FloatArray, mask_token_id: int
) -> IntArray:
    """Bring a loop's frame nearer to the first one, as it lies where the way back leads from.

    What enters from there has its tokens at once. Of what else has come to differ, a share that grows from frame to
    frame in the second half of the clip has them too, and as large a share of the rest is masked.
    """
    clip, (height, width) = place.clip, tokens.shape
    share = np.float32(max(0.0, 1.0 - (clip.frames - place.frame) / (clip.frames // 2 + 1)))
    rows, columns = (_on_the_way_back(clip, place.frame, axis, side) for axis, side in ((1, height), (0, width)))
    target = _taken(first, rows, columns, mask_token_id)
    there = target != mask_token_id
    led = there & (entering(clip, place.frame, tokens.shape) | (order[rows[:, None], columns[None]] < share))
    masked = there & (tokens != target) & (noise < share)
    return np.where(led, target, np.where(masked, np.int64(mask_token_id), tokens))


def _on_the_way_back(clip: Clip, frame: int, axis: int, side: int) -> IntArray:
    """Return where each place of an axis finds its token in the first frame, as it comes again behind the last."""
    places = np.arange(side) - offset(clip, clip.frames, axis, side) + offset(clip, frame, axis, side)
    return np.where((places >= 0) & (places < side), places, ENTERING)
