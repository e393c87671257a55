"""The scales that pictures are weighed on."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from amused_edge.benchmarks.metrics.pictures import psnr, ssim


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


def test_a_sixteenth_of_the_range_is_24_decibels() -> None:
    """10 log10(255^2 / 16^2)."""
    image = np.random.default_rng(1).integers(0, 240, (32, 48, 3), np.uint8)
    assert psnr(image, image + np.uint8(16)) == pytest.approx(24.05, abs=0.005)
    assert psnr(image + np.float32(16), image) == pytest.approx(24.05, abs=0.005)


# --- Structural similarity.


def photo(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    """A picture with edges, gradients and a little noise."""
    y, x, c = np.mgrid[:height, :width, :channels]
    smooth = 120 + 60 * np.sin(x / 7 + c) + 50 * np.cos(y / 5 - c) + 40 * (x + y > height)
    noise = np.random.default_rng(2).normal(0, 4, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def skimage(reference: Any, other: Any) -> float:
    return float(
        structural_similarity(
            np.asarray(reference),
            np.asarray(other),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
    )


@pytest.mark.parametrize("size", [(11, 11, 3), (12, 11, 3), (64, 64, 3), (37, 91, 3), (30, 20, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_ssim_is_scikit_images(size: tuple[int, int, int], dtype: type) -> None:
    image = photo(*size)
    noisy = np.clip(image + np.random.default_rng(3).normal(0, 20, size), 0, 255)
    darker = image * 0.7
    for other in (noisy, darker, 255 - image, np.roll(image, 3, 1)):
        a, b = image.astype(dtype), other.astype(dtype)
        assert ssim(a, b) == pytest.approx(skimage(a, b), abs=1e-9)
        assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)


def test_ssim_of_float32_is_computed_in_float64() -> None:
    image = photo(20, 25)
    other = image + np.random.default_rng(4).normal(0, 5, image.shape).astype(np.float32)
    assert ssim(image.astype(np.float32), other) == pytest.approx(skimage(image.astype(float), other.astype(float)))


def test_ssim_of_equal_pictures_is_exactly_one() -> None:
    for size in ((11, 11), (64, 64), (37, 91)):
        image = photo(*size)
        assert ssim(image, image.copy()) == 1.0
        assert ssim(image, image.astype(np.float32)) == 1.0
        assert ssim(image * 0.37, image * 0.37) == 1.0
    flat = np.zeros((16, 16, 3), np.uint8)
    assert ssim(flat, flat) == 1.0


def test_ssim_of_flat_pictures_compares_their_brightness() -> None:
    """Without variance (2 a b + c1) / (a^2 + b^2 + c1) is left, c1 = (0.01 * 255)^2."""
    a, b, c1 = 100, 150, 2.55**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    found = ssim(np.full((16, 20, 3), a, np.uint8), np.full((16, 20, 3), b, np.uint8))
    assert found == pytest.approx(expected, abs=1e-9)


def test_ssim_of_a_negative_is_below_zero() -> None:
    image = np.random.default_rng(5).integers(0, 256, (32, 32, 3), np.uint8)
    assert ssim(image, 255 - image) < -0.5


@pytest.mark.parametrize("shape", [(10, 64, 3), (64, 10, 3), (0, 64, 3), (64, 64), (2, 64, 64, 3)], ids=str)
def test_ssim_refuses_what_its_window_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"is not \(H, W, C\) with sides of 11 or more"):
        ssim(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


def test_ssim_refuses_pictures_of_different_sizes() -> None:
    with pytest.raises(ValueError, match="differ"):
        ssim(np.zeros((16, 16, 3)), np.zeros((16, 16, 1)))
