"""The starts and canvases of the vectors beside float64, SciPy and the definitions."""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.support.vectors import Float64, cases, stream


def test_variation_starts() -> None:
    """The first step in whole numbers and by hand; the mask from the numbers and a float64 cosine."""
    by_hand = {(100, 0.29): 72, (100, 0.57): 44, (12, 0.5): 6, (12, 1.0): 0, (12, 0.0): 12, (12, 0.999): 1}
    for given, expect in cases("variation-starts"):
        steps, first = given["steps"], expect["first_step"]
        assert by_hand.get((steps, given["strength"]), first) == first
        count = math.prod(given["grid"])
        share = 1 - first / steps if given["schedule"] == "linear" else math.cos(math.pi / 2 * first / steps)
        u = stream(given["seed"], given["picture"], 0, 2, count) / 2**24
        masked = np.flatnonzero(u < share).tolist() if first else list(range(count))
        assert (masked if first < steps else []) == expect["masked"], given
        assert expect["starting_mask_ratio"] == 1.0


def test_inpainting_starts() -> None:
    for given, expect in cases("inpainting-starts"):
        none_left = given["repaint"] and int(given["steps"] * given["strength"]) == 0
        assert (expect == {"error": "OptionsError"}) == bool(none_left)
        if not none_left and given["repaint"]:
            share = np.float32(len(given["repaint"]) / math.prod(given["grid"]))
            assert np.float32(expect["starting_mask_ratio"]) == share
            assert expect["masked"] == given["repaint"]


def pixels_of(rule: Any) -> NDArray[np.uint8]:
    if "seed" in rule:
        height, width = rule["size"]
        count = height * width * rule["channels"]
        shape = (height, width, rule["channels"])
        return (stream(rule["seed"], "0", 0, 2, count) >> 16).astype(np.uint8).reshape(shape)
    image = np.empty((*rule["size"], 3 if isinstance(rule["background"], list) else 1), np.uint8)
    image[:] = rule["background"]
    for left, top, right, bottom, colour in rule["rectangles"]:
        image[top:bottom, left:right] = colour
    return image


def lanczos(size: int, to: int, span: float) -> Float64:
    """The filter's matrix (to, size) over the middle `span` pixels: support 3 of the coarser grid, weights that add up
    to 1.
    """
    scale = max(1.0, span / to)
    centres = (size - span) / 2 + (np.arange(to) + 0.5) * span / to
    x = (np.arange(size) + 0.5 - centres[:, None]) / scale
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    result: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return result


def resized(image: NDArray[np.uint8], height: int, width: int, tall: float = 0, wide: float = 0) -> Float64:
    """Of the middle `tall` x `wide` pixels; 0 is all."""
    rows = lanczos(image.shape[0], height, tall or image.shape[0])
    columns = lanczos(image.shape[1], width, wide or image.shape[1])
    result: Float64 = np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float64), columns)
    return result


def test_token_masks_in_float64() -> None:
    """No level is so near the half that rounding between the filter's passes would decide it, but those of flat masks,
    which stay what they are.
    """
    for given, expect in cases("token-masks"):
        image, (height, width) = pixels_of(given["mask"]), given["grid"]
        if given["coverage"] == "any":
            cells = (image >= 128).reshape(height, image.shape[0] // height, width, -1).any(axis=(1, 3))
            assert np.flatnonzero(cells).tolist() == expect["repaint"]
            continue
        levels = resized(image, height, width)
        assert np.abs(levels - 127.5).min() >= 1 or np.ptp(image) == 0
        assert np.flatnonzero(levels >= 127.5 + 1e-9).tolist() == expect["repaint"]


def fitted(source: NDArray[np.uint8], height: int, width: int, fit: str) -> Float64 | None:
    """By the definition; None where it is refused."""
    tall, wide = source.shape[:2]
    if fit == "exact" and abs(wide * height - tall * width) >= max(wide, tall):
        return None
    if fit in ("stretch", "exact"):
        return resized(source, height, width)
    if fit == "crop":
        return resized(source, height, width, min(tall, wide * height / width), min(wide, tall * width / height))
    scale = min(width / wide, height / tall)
    rows, columns = (min(most, max(1, round(side * scale))) for side, most in ((tall, height), (wide, width)))
    canvas = np.full((height, width, source.shape[2]), 128.0 if source.shape[2] == 3 else 0.0)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = resized(source, rows, columns)
    return canvas


def test_fitted_pictures_in_float64() -> None:
    for given, expect in cases("fitted-pictures"):
        exact = fitted(pixels_of(given["picture"]), *given["size"], given["fit"])
        assert ("error" in expect) == (exact is None)
        if exact is not None:
            assert np.abs(np.array(expect["pixels"]) - exact.reshape(-1)).max() <= 2, given


def test_pasted_pictures_beside_scipys_distances() -> None:
    for given, expect in cases("pasted-pictures"):
        drawn, original = (pixels_of(given[name]).astype(np.float64) for name in ("drawn", "original"))
        repaint = pixels_of(given["mask"])[..., 0] >= 128
        weight = repaint.astype(np.float64)
        if given["feather"]:
            depth = ndimage.distance_transform_cdt(repaint, metric="chessboard")
            depth = np.minimum(depth, given["feather"] + 1)
            weight = depth / max(1, depth.max())
        exact = original + weight[..., None] * (drawn - original)
        assert np.abs(np.array(expect["pixels"]) - exact.reshape(-1)).max() <= 0.5 + 1e-4


def test_outpainting_canvases_by_their_definition() -> None:
    for given, expect in cases("outpainting-canvases"):
        source = pixels_of(given["picture"])
        pads = ((given["top"], given["bottom"]), (given["left"], given["right"]))
        assert expect["pixels"] == np.pad(source, (*pads, (0, 0)), mode="edge").reshape(-1).tolist()
        inner = np.zeros(source.shape[:2], np.uint8)
        assert expect["mask"] == np.pad(inner, pads, constant_values=255).reshape(-1).tolist()
        assert np.prod(expect["size"]) == len(expect["mask"])


def test_the_rules_of_pictures_are_what_pillow_hashes() -> None:
    """The hash is over the mode, the size as width and height, and the pixels."""
    for given, expect in cases("picture-hashes"):
        source = pixels_of(given["picture"])
        image = Image.fromarray(source[..., 0] if source.shape[2] == 1 else source)
        head = f"{image.mode} ({image.width}, {image.height})".encode()
        assert hashlib.sha256(head + source.tobytes()).hexdigest() == expect["sha256"]
