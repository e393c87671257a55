"""KID and FID against their formulas, written plainly."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from amused_edge.benchmarks.metrics import sets
from amused_edge.benchmarks.metrics.sets import KidKernels, fid, kid, moments
from amused_edge.benchmarks.metrics.statistics import resampled

Array = NDArray[np.float64]


def features(count: int, size: int, seed: int = 0) -> Array:
    """Skewed and correlated, as an embedder's are."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((size, size)) / size**0.5
    return np.maximum(generator.standard_normal((count, size)) @ mixing + 0.1 * seed, 0.0)


def kernel(x: Array, y: Array) -> float:
    return float((sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3)


def plain_kid(x: Array, y: Array, x_ids: list[int], y_ids: list[int], *, paired: bool = False) -> float:
    """Average over pairs of different pictures; `ids` tell which picture each row is, pairs share theirs."""

    def average(a: Array, a_ids: list[int], b: Array, b_ids: list[int], skip_same: bool) -> float:
        values = [
            kernel(a[i], b[j]) for i in range(len(a)) for j in range(len(b)) if not (skip_same and a_ids[i] == b_ids[j])
        ]
        return sum(values) / len(values)

    within = average(x, x_ids, x, x_ids, True) + average(y, y_ids, y, y_ids, True)
    return within - 2 * average(x, x_ids, y, y_ids, paired)


def plain_fid(x: Array, y: Array) -> float:
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    change = x.mean(axis=0) - y.mean(axis=0)
    return float(change @ change + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real)


# --- KID.


@pytest.mark.parametrize(("count", "other"), [(2, 2), (7, 12), (15, 9)])
def test_kid_is_the_average_of_kernels_over_pairs_of_pictures(count: int, other: int) -> None:
    x, y = features(count, 5, 1), features(other, 5, 2)
    expected = plain_kid(x, y, [*range(count)], [*range(other)])
    assert kid(x, y) == pytest.approx(expected, rel=1e-10)
    assert kid(x, y) == pytest.approx(kid(y, x), rel=1e-10)


def test_paired_kid_leaves_out_the_similarity_of_what_belongs_together() -> None:
    x, y = features(8, 5, 1), features(8, 5, 2)
    ids = [*range(8)]
    assert kid(x, y, paired=True) == pytest.approx(plain_kid(x, y, ids, ids, paired=True), rel=1e-10)
    assert kid(x, y, paired=True) != pytest.approx(kid(x, y), rel=1e-3)


@pytest.mark.parametrize("paired", [False, True])
def test_a_picture_drawn_twice_is_not_compared_with_itself(paired: bool) -> None:
    x, y = features(6, 4, 1), features(6, 4, 2)
    weights = np.array([[2, 0, 1, 3, 0, 0], [1, 1, 1, 1, 1, 1], [0, 5, 0, 0, 0, 1]], np.float64)
    kernels = KidKernels(x, y, paired=paired)
    expected = []
    for row in weights:
        drawn = [number for number, times in enumerate(row) for _ in range(int(times))]
        others = drawn if paired else [*range(6)]
        expected.append(plain_kid(x[drawn], y[others], drawn, others, paired=paired))
    assert kernels.weighted(weights) == pytest.approx(expected, rel=1e-10)
    assert kernels.distance() == pytest.approx(expected[1], rel=1e-10)


def test_resampling_adds_no_bias() -> None:
    """The average over resamples is the estimate; counting two draws of one picture would add several standard errors
    of it.
    """
    x, y = features(40, 6, 1), features(40, 6, 2)
    kernels = KidKernels(x, y, paired=True)
    values = kernels.weighted(resampled(40, resamples=20000))
    assert values.mean() == pytest.approx(kernels.distance(), abs=5 * values.std() / 20000**0.5)


def test_halves_of_one_set_are_no_distance_apart_on_average() -> None:
    """Over all halvings the mean is exactly zero; some are negative."""
    x = features(60, 8, 3)
    generator = np.random.default_rng(0)
    values = []
    for _ in range(1000):
        order = generator.permutation(60)
        values.append(kid(x[order[:30]], x[order[30:]]))
    assert abs(np.mean(values)) < 4 * np.std(values) / 1000**0.5
    assert min(values) < 0 < max(values)


def test_another_distribution_is_farther_than_any_halving() -> None:
    x = features(60, 8, 3)
    assert kid(x[:30], x[30:] + 0.5) > 10 * abs(kid(x[:30], x[30:]))


@pytest.mark.parametrize(("count", "size"), [(2, 1), (33, 7), (256, 192), (64, 500)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_pairs_are_exactly_no_distance_apart(count: int, size: int, dtype: type) -> None:
    """Also where the second set is a copy, which NumPy multiplies by another routine."""
    x = features(count, size, 1).astype(dtype)
    assert kid(x, x, paired=True) == 0.0
    assert kid(x, x.copy(), paired=True) == 0.0
    drawn = np.vstack([resampled(count, resamples=20), np.ones(count)])
    several = drawn[(drawn > 0).sum(axis=1) > 1]  # others are one picture, many times
    assert not KidKernels(x, x.copy(), paired=True).weighted(several).any()


def test_kid_is_computed_in_float64() -> None:
    x, y = features(10, 4, 1).astype(np.float16), features(10, 4, 2).astype(np.float16)
    assert kid(x, y) == kid(x.astype(np.float64), y.astype(np.float64))


# --- FID.


@pytest.mark.parametrize(("count", "other", "size"), [(40, 60, 6), (200, 200, 16), (3, 50, 2)])
def test_fid_is_scipys(count: int, other: int, size: int) -> None:
    x, y = features(count, size, 1), features(other, size, 2)
    assert fid(x, y) == pytest.approx(plain_fid(x, y), rel=1e-8)
    assert fid(x, y) == pytest.approx(fid(y, x), rel=1e-8)


def test_fid_of_one_feature_is_the_distance_of_means_and_deviations() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.normal(1.0, 2.0, (30, 1)), generator.normal(0.0, 5.0, (20, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert fid(x, y) == pytest.approx(expected, rel=1e-10)


def test_fid_of_a_moved_set_is_the_squared_move() -> None:
    x = features(50, 7, 1)
    move = np.arange(7) / 3
    assert fid(x, x + move) == pytest.approx(move @ move, rel=1e-9)


def test_fid_of_singular_covariances() -> None:
    """Sets that vary along one line each, u and v, with deviations s and t: s^2 + t^2 - 2 s t |u . v| (unit vectors);
    fewer pictures than features.
    """
    generator = np.random.default_rng(6)
    u, v = (w / np.linalg.norm(w) for w in generator.standard_normal((2, 12)))
    along, across = generator.standard_normal((2, 9))
    along, across = along - along.mean(), across - across.mean()
    s, t = along.std(ddof=1), across.std(ddof=1)
    expected = s**2 + t**2 - 2 * s * t * abs(u @ v)
    assert fid(np.outer(along, u), np.outer(across, v)) == pytest.approx(expected, abs=1e-6)
    assert fid(np.ones((3, 4)), np.zeros((2, 4))) == pytest.approx(4.0)  # no variance at all


@pytest.mark.parametrize(("count", "size"), [(2, 1), (100, 20), (10, 40)])
def test_fid_of_equal_sets_is_zero_and_never_less(count: int, size: int) -> None:
    """Where pictures are fewer than features, roots of rounding errors (1e-8 each) are left."""
    x = features(count, size, 1)
    assert 0 <= fid(x, x.copy()) < 1e-5


# --- What is no pair of sets.


@pytest.mark.parametrize("measure", [kid, fid])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((1, 3), (5, 3)),
        ((5, 3), (1, 3)),
        ((5, 3), (5, 4)),
        ((5,), (5,)),
        ((5, 3), (5,)),
        ((5,), (5, 3)),
        ((0, 3), (5, 3)),
    ],
)
def test_what_cannot_be_compared_is_refused(measure: Any, x: tuple[int, ...], y: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two pictures or more"):
        measure(np.ones(x), np.ones(y))


def test_sets_of_other_sizes_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="3 and 4 pictures cannot be pairs"):
        kid(np.ones((3, 2)), np.ones((4, 2)), paired=True)


# --- Read block by block.


@pytest.fixture(params=[1, 7, 64])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Pictures that are read together, of 23: one, some, more than there are."""
    monkeypatch.setattr(sets, "BLOCK", request.param)
    return int(request.param)


@pytest.mark.parametrize("paired", [False, True])
def test_kid_by_tiles_is_that_over_the_whole_matrix(block: int, paired: bool) -> None:
    """Of the sets and of resamples: 1e-12 for the order of the sums."""
    x, y = features(23, 5, 1), features(23 if paired else 17, 5, 2)
    ids = [*range(23)], [*range(len(y))]
    assert kid(x, y, paired=paired) == pytest.approx(plain_kid(x, y, *ids, paired=paired), rel=1e-10)
    whole = _whole_weighted(x, y, weights := resampled(23, resamples=50), paired=paired)
    np.testing.assert_allclose(KidKernels(x, y, paired=paired).weighted(weights), whole, rtol=1e-11, atol=1e-13)
    if paired:
        assert not KidKernels(x, x.copy(), paired=True).weighted(weights).any()
        y[:14] = x[:14]  # some tiles are equal, and some are not
        whole = _whole_weighted(x, y, weights, paired=True)
        np.testing.assert_allclose(KidKernels(x, y, paired=True).weighted(weights), whole, rtol=1e-10, atol=1e-12)


def _whole_weighted(x: Array, y: Array, weights: NDArray[Any], *, paired: bool) -> Array:
    """With the kernels of all pairs in memory."""
    w = weights.astype(np.float64)
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    pairs = w.sum(axis=1) ** 2 - (w**2).sum(axis=1)
    within = np.einsum("ri,ij,rj->r", w, xx - np.diag(np.diag(xx)), w) / pairs
    if paired:
        others = np.einsum("ri,ij,rj->r", w, yy - np.diag(np.diag(yy)), w) / pairs
        return within + others - 2 * np.einsum("ri,ij,rj->r", w, xy - np.diag(np.diag(xy)), w) / pairs
    others = (yy.sum() - np.trace(yy)) / (len(y) * (len(y) - 1))
    return within + others - 2 * (w @ xy).sum(axis=1) / (w.sum(axis=1) * len(y))


class _OnDisk:
    """Rows that are read some at a time, and no array."""

    def __init__(self, rows: Array) -> None:
        self._rows, self.shape = rows, rows.shape

    def __getitem__(self, rows: slice) -> Array:
        return self._rows[rows]

    def __array__(self, *_: object, **__: object) -> Array:
        raise AssertionError("all of it was read at once")


def test_sets_need_not_be_arrays() -> None:
    x, y = features(23, 5, 1), features(17, 5, 2)
    for measure in (kid, fid):
        assert measure(_OnDisk(x), _OnDisk(y)) == measure(x, y) == measure(x.tolist(), y.tolist())


def test_fid_from_moments_is_that_of_the_whole_sets(block: int) -> None:
    """Also far from zero, where a sum of squares less the square of a sum would have lost 10 of 16 digits."""
    x, y = features(23, 5, 1) + 1e5, features(19, 5, 2) + 1e5
    found = moments(x)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(found.covariance, np.cov(x, rowvar=False), rtol=1e-9, atol=1e-9)
    assert fid(x, y) == pytest.approx(plain_fid(x, y), rel=1e-7)


def test_memory_does_not_grow_with_the_sets() -> None:
    """The kernels of 3,600 pictures are 104 MB; what is read of a file is a block."""

    class Simulated:
        """Features that are made as they are asked for, always the same."""

        def __init__(self, count: int, seed: int) -> None:
            self.shape = (count, 16)
            self._seed = seed

        def __getitem__(self, rows: slice) -> Array:
            generator = np.random.default_rng([self._seed, rows.start])
            return generator.random((rows.stop - rows.start, 16), np.float32).astype(np.float64)

    def peak(count: int) -> int:
        weights = np.ones((2, count), np.uint8)
        tracemalloc.start()
        KidKernels(Simulated(count, 1), Simulated(count, 2), paired=True).weighted(weights)
        fid(Simulated(8 * count, 1), Simulated(8 * count, 2))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(1200), peak(3600)
    assert many < 20e6
    assert many < 1.05 * few
