"""The scales that pictures are weighed on."""

import math

import numpy as np
import pytest

from amused_edge.benchmarks.images import psnr


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_known_values(dtype: type) -> None:
    """A difference of d everywhere: 20 log10(255 / d) dB."""
    black = np.zeros((4, 4, 3), dtype)
    assert psnr(black, black + dtype(1)) == pytest.approx(48.130803, abs=1e-6)
    assert psnr(black, black + dtype(255)) == pytest.approx(0.0, abs=1e-12)
    assert psnr(black, black + dtype(16)) == pytest.approx(20 * math.log10(255 / 16))


def test_bytes_do_not_wrap() -> None:
    """In uint8, 0 - 1 is 255 and 16 squared is 0; two published tools compute it so."""
    dark, light = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 16, np.uint8)
    assert psnr(dark, light) == psnr(light, dark) == psnr(dark.astype(float), light.astype(float))
    assert math.isfinite(psnr(dark, light))


def test_the_mean_runs_over_all_pixels_and_channels() -> None:
    image = np.zeros((10, 10, 3))
    other = image.copy()
    other[0, 0, 0] = 30
    assert psnr(image, other) == pytest.approx(10 * math.log10(255**2 / (900 / 300)))


def test_equal_pictures_are_infinitely_near() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert psnr(image, image.copy()) == math.inf


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        psnr(np.zeros((2, 2, 3)), np.zeros((1, 2, 3)))
