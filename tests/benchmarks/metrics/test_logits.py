"""The scales that logits are weighed on, against formulas written out by hand."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from amused_edge.benchmarks.metrics.logits import (
    kl_divergence,
    rank_correlation,
    relative_error,
    top_agreement,
    total_variation,
)


def test_a_value_known_by_hand() -> None:
    """KL((3/4, 1/4) || (1/2, 1/2)) = 3/4 ln(3/2) + 1/4 ln(1/2)."""
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    np.testing.assert_allclose(kl_divergence([[math.log(3), 0]], [[0, 0]]), [expected], rtol=1e-12)


def test_the_reference_is_the_weight() -> None:
    """The divergence is not symmetric: KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 ln(2/3) + 1/2 ln 2."""
    expected = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    np.testing.assert_allclose(kl_divergence([[0, 0]], [[math.log(3), 0]]), [expected], rtol=1e-12)


def test_rows_against_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    a, b = 3 * rng.standard_normal((2, 20, 50))
    for row, found in enumerate(kl_divergence(a, b)):
        p, q = ([math.exp(x) for x in logits[row]] for logits in (a, b))
        p, q = [x / math.fsum(p) for x in p], [x / math.fsum(q) for x in q]
        expected = math.fsum(x * math.log(x / y) for x, y in zip(p, q, strict=True))
        assert found == pytest.approx(expected, rel=1e-10)


def test_equal_logits_have_no_divergence() -> None:
    logits = np.random.default_rng(1).standard_normal((5, 30), np.float32)
    assert kl_divergence(logits, logits).tolist() == [0.0] * 5


def test_a_shift_of_a_row_changes_nothing() -> None:
    logits = np.random.default_rng(2).standard_normal((5, 30))
    shifts = np.array([[1], [-50], [1e3], [0], [7]])
    np.testing.assert_allclose(kl_divergence(logits, logits + shifts), 0, atol=1e-9)


def test_it_is_never_negative() -> None:
    """Rounding alone would give about -1e-17 for nearly equal rows."""
    logits = np.random.default_rng(3).standard_normal((500, 40))
    assert (kl_divergence(logits, np.nextafter(logits, np.inf)) >= 0).all()


def test_float32_logits_are_weighed_in_float64() -> None:
    """A difference of 1e-5 has a divergence near 1e-11, far below what float32 sums can show."""
    logits = np.zeros((1, 2), np.float32)
    moved = np.array([[1e-5, 0]], np.float32)
    np.testing.assert_allclose(kl_divergence(logits, moved), [1e-10 / 8], rtol=1e-3)


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(kl_divergence([[1e4, 0.0]], [[0.0, 1e4]]), [1e4])


def test_relative_error_is_relative_to_the_references_largest() -> None:
    assert relative_error([1.0, -4.0], [1.5, -4.0]) == 0.125
    assert relative_error([[2.0], [0.0]], [[2.0], [8.0]]) == 4.0


def test_relative_error_of_equal_arrays() -> None:
    assert relative_error([1.0, 2.0], [1.0, 2.0]) == 0.0
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0.0


def test_relative_error_to_zero_is_absolute() -> None:
    assert relative_error([0.0, 0.0], [0.0, 0.5]) == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_never_pass_a_limit(value: float) -> None:
    """NaN compares false with every limit, so it must come out as infinity; also where both sides have it."""
    assert relative_error([1.0, value], [1.0, 2.0]) == math.inf
    assert relative_error([1.0, 2.0], [1.0, value]) == math.inf
    assert relative_error([1.0, value], [1.0, value]) == math.inf


def test_relative_error_of_whole_numbers_does_not_wrap() -> None:
    assert relative_error(np.array([255], np.uint8), np.array([0], np.uint8)) == 1.0
    assert relative_error(np.array([1], np.uint8), np.array([2], np.uint8)) == 1.0


def test_relative_error_is_computed_in_float64() -> None:
    """Whichever of them are halves: their difference is beyond what these hold."""
    a, b = np.array([60000.0, 1.0]), np.array([-60000.0, 1.0])
    for x in (a, a.astype(np.float16)):
        for y in (b, b.astype(np.float16)):
            assert relative_error(x, y) == pytest.approx(2.0, rel=1e-3)
    near = np.array([1.0, 1.001], np.float16)
    assert relative_error(near, near.astype(np.float64) + 1e-5) == pytest.approx(1e-5, rel=0.01)


def test_what_is_not_a_number_is_told_by_the_result_and_not_by_a_warning() -> None:
    rows = np.array([[0.0, np.nan], [-np.inf, 1.0], [-np.inf, -np.inf]])
    with np.errstate(all="raise"):
        assert kl_divergence(rows, rows).tolist() == [np.inf, 0.0, np.inf]
        assert total_variation(rows, rows).tolist() == [1.0, 0.0, 1.0]


def test_shapes_that_differ_are_refused() -> None:
    """Once, NumPy's broadcasting made a number of them."""
    with pytest.raises(ValueError, match="differ"):
        kl_divergence(np.zeros((2, 4)), np.zeros((1, 4)))
    with pytest.raises(ValueError, match="differ"):
        relative_error(np.zeros((2, 4)), np.zeros((4,)))


def test_a_row_with_nan_is_infinitely_far() -> None:
    logits = np.array([[0.0, np.nan], [0.0, 1.0]])
    assert kl_divergence(logits, np.zeros((2, 2)))[0] == np.inf
    assert np.isfinite(kl_divergence(logits, np.zeros((2, 2)))[1])


def test_codes_ruled_out_on_both_sides_add_nothing() -> None:
    logits = np.array([[0.0, 1.0, -np.inf]])
    assert kl_divergence(logits, logits)[0] == 0.0


# --- Total variation.


def test_total_variation_of_values_known_by_hand() -> None:
    """(3/4, 1/4) and (1/2, 1/2) are a quarter apart; distributions that share no code are wholly apart."""
    np.testing.assert_allclose(total_variation([[math.log(3), 0]], [[0, 0]]), [0.25], rtol=1e-12)
    np.testing.assert_allclose(total_variation([[0, 0, -np.inf]], [[-np.inf, -np.inf, 5]]), [1.0], rtol=1e-12)
    np.testing.assert_allclose(total_variation([[0.0] * 4], [[0.0, 0.0, -np.inf, -np.inf]]), [0.5], rtol=1e-12)


def test_total_variation_against_the_plain_sum() -> None:
    rng = np.random.default_rng(4)
    a, b = 3 * rng.standard_normal((2, 20, 50))
    found = total_variation(a, b)
    np.testing.assert_allclose(found, np.abs(scipy.special.softmax(a, -1) - scipy.special.softmax(b, -1)).sum(-1) / 2)
    np.testing.assert_array_equal(found, total_variation(b, a))
    assert (found <= np.sqrt(kl_divergence(a, b) / 2)).all()  # Pinsker


def test_total_variation_stays_in_its_range() -> None:
    logits = 40 * np.random.default_rng(5).standard_normal((200, 30))
    assert total_variation(logits, logits).tolist() == [0.0] * 200
    assert (total_variation(logits, logits[::-1]) <= 1).all()
    np.testing.assert_allclose(total_variation(logits, logits + 1e3), 0, atol=1e-12)


# --- Top codes.


def test_top_1_agreement_is_all_or_nothing() -> None:
    reference = [[0, 2, 1], [5, 0, 0], [0, 0, 9]]
    other = [[0, 1, 2], [1, 0, 0], [-5, -4, -3]]
    assert top_agreement(reference, other, 1).tolist() == [0, 1, 1]


def test_top_agreement_counts_shared_codes_in_any_order() -> None:
    reference = [[9, 8, 7, 6, 5, 0, 0, 0]]
    assert top_agreement(reference, [[5, 6, 7, 8, 9, 0, 0, 0]], 5).tolist() == [1.0]
    assert top_agreement(reference, [[9, 8, 0, 0, 0, 7, 6, 5]], 5).tolist() == [2 / 5]
    assert top_agreement(reference, [[0, 0, 0, 6, 5, 9, 8, 7]], 3).tolist() == [0.0]


def test_of_equal_logits_the_lower_code_is_likelier() -> None:
    assert top_agreement([[1, 1, 1, 1]], [[0, 0, 0, 9]], 1).tolist() == [0.0]
    assert top_agreement([[1, 1, 1, 1]], [[9, 0, 0, 0]], 1).tolist() == [1.0]
    assert top_agreement([[1, 1, 1, 1]], [[0, 9, 9, 0]], 2).tolist() == [0.5]


def test_top_agreement_against_sets() -> None:
    rng = np.random.default_rng(6)
    a = rng.integers(0, 8, (50, 12)).astype(np.float32)  # with many ties
    b = a + rng.integers(0, 3, a.shape)

    def top(row: Any) -> set[int]:
        return set(sorted(range(12), key=lambda code: (-row[code], code))[:5])

    expected = [len(top(x) & top(y)) / 5 for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(top_agreement(a, b, 5), expected)


def test_a_codebook_smaller_than_the_count() -> None:
    assert top_agreement([[1, 2, 3]], [[3, 2, 1]], 5).tolist() == [1.0]


# --- Rank correlation.


@pytest.mark.parametrize("levels", [3, 10, 10**9])
def test_rank_correlation_is_scipys(levels: int) -> None:
    """With many ties, some, and none."""
    rng = np.random.default_rng(levels)
    for size in (3, 10, 257):
        a = rng.integers(0, levels, size)
        b = a + rng.integers(0, levels, size)
        assert rank_correlation(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic, abs=1e-12)
        assert rank_correlation(a, b) == rank_correlation(b, a)


def test_rank_correlation_without_ties_is_the_textbooks() -> None:
    """1 - 6 sum d^2 / (n (n^2 - 1)); here d = (0, -1, 1, 0, 0)."""
    assert rank_correlation([1, 2, 3, 4, 5], [10, 30, 20, 40, 50]) == pytest.approx(1 - 6 * 2 / 120, abs=1e-15)


def test_rank_correlation_looks_at_the_order_only() -> None:
    values = np.random.default_rng(7).standard_normal(40).astype(np.float32)
    assert rank_correlation(values, values) == 1.0
    assert rank_correlation(values, np.exp(values.astype(float))) == pytest.approx(1.0, abs=1e-12)
    assert rank_correlation(values, -values) == pytest.approx(-1.0, abs=1e-12)
    assert rank_correlation([-np.inf, 0, 1], [-5, 0, np.inf]) == pytest.approx(1.0, abs=1e-12)


def test_lists_without_an_order() -> None:
    """scipy calls these NaN, which no limit would catch. A single value is such a list."""
    assert rank_correlation([2, 2, 2], [5, 5, 5]) == 1.0
    assert rank_correlation([2, 2, 2], [1, 2, 3]) == 0.0
    assert rank_correlation([1, 2, 3], [2, 2, 2]) == 0.0
    assert rank_correlation([3], [-8]) == 1.0


# --- What all of them share.


@pytest.mark.parametrize(
    "measure",
    [
        total_variation,
        pytest.param(lambda a, b: top_agreement(a, b, 1), id="top_agreement"),
        pytest.param(lambda a, b: rank_correlation(a[0], b), id="rank_correlation"),
    ],
)
def test_no_measure_broadcasts(measure: Any) -> None:
    with pytest.raises(ValueError, match="differ"):
        measure(np.zeros((2, 4)), np.zeros((1, 4)))


def test_a_row_with_nan_never_looks_close() -> None:
    """On either side, or on both; the rows beside it are not touched."""
    good, bad = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, np.nan]])
    for a, b in ((good, bad), (bad, good), (bad, bad)):
        assert kl_divergence(a, b).tolist() == [0.0, np.inf]
        assert total_variation(a, b).tolist() == [0.0, 1.0]
        assert top_agreement(a, b, 1).tolist() == [1.0, 0.0]
        assert top_agreement(a, b, 2).tolist() == [1.0, 0.0]
        assert rank_correlation(a[1], b[1]) == -1.0


def test_a_row_with_infinity_is_no_distribution() -> None:
    logits = np.array([[np.inf, 0.0]])
    assert kl_divergence(logits, logits).tolist() == [np.inf]
    assert total_variation(logits, logits).tolist() == [1.0]


def test_a_code_ruled_out_by_the_other_alone_is_infinitely_far() -> None:
    reference, other = np.array([[0.0, 0.0]]), np.array([[0.0, -np.inf]])
    assert kl_divergence(reference, other).tolist() == [np.inf]
    np.testing.assert_allclose(kl_divergence(other, reference), [math.log(2)], rtol=1e-12)
