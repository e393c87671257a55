"""The scales that logits are weighed on, against formulas written out by hand."""

import math

import numpy as np
import pytest

from amused_edge.benchmarks.fidelity import kl_divergence, relative_error


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
