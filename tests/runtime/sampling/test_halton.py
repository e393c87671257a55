"""The Halton order: every position once, spread evenly from the beginning."""

import numpy as np
import pytest

from amused_edge.runtime.sampling.halton import halton_order, radical_inverse


def test_the_radical_inverse_mirrors_digits() -> None:
    """Worked by hand: 6 is 110 in base 2, 5 is 12 in base 3."""
    assert radical_inverse(np.array([1, 2, 3, 6]), 2).tolist() == [0.5, 0.25, 0.75, 0.375]
    np.testing.assert_allclose(radical_inverse(np.array([1, 2, 3, 5]), 3), [1 / 3, 2 / 3, 1 / 9, 7 / 9])


def test_the_first_positions_by_hand() -> None:
    """Points (1/2, 1/3), (1/4, 2/3), (3/4, 1/9), (1/8, 4/9) on 4 x 3 tokens: rows 2, 1, 3, 0, columns 1, 2, 0, 1."""
    assert halton_order(4, 3)[:4].tolist() == [2 * 3 + 1, 1 * 3 + 2, 3 * 3 + 0, 0 * 3 + 1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (13, 1), (3, 5), (16, 16), (32, 32), (31, 64)])
def test_every_position_comes_once(shape: tuple[int, int]) -> None:
    order = halton_order(*shape)
    assert np.array_equal(np.sort(order), np.arange(shape[0] * shape[1]))


def test_every_beginning_is_spread_evenly() -> None:
    """Of the first 64 positions of 16 x 16, each of the 16 squares of 4 x 4 has about 4; by chance some had 0."""
    rows, columns = np.divmod(halton_order(16, 16)[:64], 16)
    counts = np.bincount(rows // 4 * 4 + columns // 4, minlength=16)
    assert counts.min() >= 2
    assert counts.max() <= 6


def test_nobody_can_change_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        halton_order(4, 4)[0] = 1
