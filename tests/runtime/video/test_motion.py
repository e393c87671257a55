"""How a clip's grid moves and what is masked: beside the reference's warp, and beside plain loops and fractions."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import Clip
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.tasks.clip import ClipFrame, pan, zoom
from amused_edge.runtime.video.starts import frame_start, move

MASK = 9999


def grid(height: int, width: int) -> Any:
    return np.arange(height * width, dtype=np.int64).reshape(height, width)


@pytest.mark.parametrize("pixels", [-37, -17, -16, -3, 0, 8, 12, 16, 24, 31, 100])
def test_one_move_is_the_warp_of_text2video_zero(pixels: int) -> None:
    """Which samples at each cell's middle, plus the motion, in a frame of 512 pixels: nearest, zeros outside."""
    import torch

    side = 32
    middle = (torch.arange(side, dtype=torch.float64) + 0.5) * 512 / side - 0.5
    x, y = middle + pixels, middle
    places = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None] / 512 * 2 - 1
    tokens = torch.from_numpy(grid(side, side) + 1.0)[None, None]
    warped = torch.nn.functional.grid_sample(tokens, places, mode="nearest", padding_mode="zeros", align_corners=False)
    moved = move(grid(side, side), Clip(2, (pixels / 512, 0.0)), 1, MASK)
    assert np.array_equal(np.where(moved == MASK, 0, moved + 1), warped[0, 0].numpy())


def nearest(value: Fraction) -> int:
    """Half towards zero."""
    size = (2 * abs(value) - 1) / 2
    whole = -(-size.numerator // size.denominator)
    return max(0, whole) * (1 if value >= 0 else -1)


@pytest.mark.parametrize(("height", "width", "refresh"), [(6, 10, 0.3), (5, 5, 0.0), (4, 9, 1.0)])
def test_starts_beside_loops_and_fractions(height: int, width: int, refresh: float) -> None:
    numbers = np.random.default_rng(height).integers(-40, 40, (7, 2))
    ways = [(Fraction(int(x), 64), Fraction(int(y), 64)) for x, y in numbers]
    clip = Clip(8, [(float(x), float(y)) for x, y in ways], refresh=refresh)
    before = grid(height, width)
    for frame in range(1, 8):
        dx, dy = (
            nearest(sum((way[axis] for way in ways[:frame]), Fraction()) * side)
            - nearest(sum((way[axis] for way in ways[: frame - 1]), Fraction()) * side)
            for axis, side in ((0, width), (1, height))
        )
        expected = np.full((height, width), MASK)
        for row in range(height):
            for column in range(width):
                if 0 <= row + dy < height and 0 <= column + dx < width:
                    expected[row, column] = before[row + dy, column + dx]
        kept = np.flatnonzero(expected != MASK)
        noise = uniforms(height * width, seed=5, picture=2, step=frame << 32, purpose=Purpose.START_MASK)
        anew = sorted(kept, key=lambda place: noise[place])[: int(refresh * len(kept) + 0.5)]
        expected.flat[anew] = MASK
        place = ClipFrame(clip, frame, "cosine")
        start = frame_start(before, before, place, MASK, seed=5, picture=2)
        assert np.array_equal(start.tokens, expected)
        masked = int((expected == MASK).sum())
        assert start.starting_mask_ratio == (float(np.float32(masked / before.size)) or 1.0)


def test_what_is_less_than_a_token_adds_up_to_one() -> None:
    """The reference's 12 pixels never moved a grid of 16 tokens. The larger grid moves as far over the same picture."""
    for side in (16, 32):
        clip, tokens = Clip(9, (1 / 32, 0.0)), grid(side, side)
        for frame in range(1, 9):
            tokens = move(tokens, clip, frame, MASK)
        assert tokens[0, 0] == side // 4
        assert (tokens == MASK).sum() == side * side // 4


def test_left_mirrors_right_and_up_is_left_turned() -> None:
    right, left, up = (Clip(6, (0.7 * x, 0.7 * y)) for x, y in ((0.1, 0), (-0.1, 0), (0, -0.1)))
    for frame in range(1, 6):
        moved = move(grid(16, 16), left, frame, MASK)
        flipped = move(grid(16, 16)[:, ::-1], right, frame, MASK)[:, ::-1]
        assert np.array_equal(moved, flipped)
        assert np.array_equal(move(grid(16, 16).T, up, frame, MASK), moved.T)


def test_a_zoom_goes_on_in_the_middle() -> None:
    """It left out the same row again and again, and the middle of the picture stayed as large as it was."""
    clip, tokens = Clip(5, zoom=14 / 16), grid(16, 16)
    for frame in range(1, 5):
        tokens = move(tokens, clip, frame, MASK)
    kept = tokens[8][tokens[8] != MASK] % 16
    assert len(kept) == 8
    assert np.diff(kept).max() <= 3


@pytest.mark.parametrize("side", [5, 16])
def test_a_zoom_step_keeps_the_order_and_the_middle(side: int) -> None:
    """Into the picture nothing is masked; out of it, one ring of tokens."""
    clip = Clip(2, **{**zoom("in"), "zoom": side / (side - 2)})
    inwards = move(grid(side, side), clip, 1, MASK)
    assert inwards[0, 0] == side + 1
    assert inwards[-1, -1] == side * side - side - 2
    out = move(grid(side, side), Clip(2, zoom=(side - 2) / side), 1, MASK)
    assert (out == MASK).sum() == 4 * (side - 1)
    assert out[1, 1] == 0
    for moved in (inwards[side // 2], out[side // 2, 1:-1]):
        assert (np.diff(moved) >= 0).all()
        assert side // 2 * side + side // 2 in moved


def test_a_camera_that_goes_around_comes_back() -> None:
    """In a loop with nothing to refresh, the first frame enters as it leaves, and follows the last."""
    clip = Clip(8, loop=True, **pan("right", 8, loop=True))
    first = before = grid(16, 16)
    for frame in range(1, 8):
        before = frame_start(before, first, ClipFrame(clip, frame, "cosine"), MASK, seed=0, picture=0).tokens
        assert np.array_equal(before, np.roll(first, -2 * frame, axis=1))


def test_a_loop_that_stays_ends_near_the_first_frame() -> None:
    """All tokens have come to differ; at each frame of the second half some more are the first one's, or masked."""
    clip, first = Clip(8, loop=True, refresh=0.0), grid(16, 16)
    shares = []
    for frame in range(1, 8):
        tokens = frame_start(first + 256, first, ClipFrame(clip, frame, "cosine"), MASK, seed=0, picture=0).tokens
        shares.append(float((tokens == first).mean()))
        rest = tokens[tokens != first]
        assert set(np.unique(rest)) <= {MASK, *(first + 256).ravel().tolist()}
    assert shares[:3] == [0.0] * 3
    assert np.all(np.diff(shares[2:]) > 0)
    assert shares[-1] == pytest.approx(0.8, abs=0.08)
