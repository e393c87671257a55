"""A task's own pictures: brought to a size, masks down to tokens, pixels pasted back, margins, and their hashes."""

from itertools import product
from typing import Any

import numpy as np
from PIL import Image

from amused_edge.conformance.pictures import image, picture, pixels
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet
from amused_edge.runtime.pictures.masks import COVERAGES, paste_back, pixel_mask, token_mask
from amused_edge.runtime.pictures.sources import FITS, fit_image
from amused_edge.runtime.tasks import given as task_checks
from amused_edge.runtime.tasks.kinds import outpainting


def _rectangles(size: list[int], *rectangles: list[int]) -> Values:
    return {"size": size, "background": 0, "rectangles": list(rectangles)}


_MASKS = (
    _rectangles([64, 64]),
    _rectangles([64, 64], [0, 0, 64, 64, 255]),
    _rectangles([64, 64], [16, 8, 48, 40, 255]),
    _rectangles([64, 64], [5, 3, 33, 27, 255], [31, 29, 63, 61, 200]),
    _rectangles([64, 64], [17, 17, 18, 18, 255], [40, 40, 43, 42, 255], [8, 50, 10, 64, 140]),
    _rectangles([64, 64], [0, 0, 64, 64, 128]),
    _rectangles([64, 64], [0, 0, 64, 64, 127]),
    _rectangles([64, 64], [21, 0, 64, 64, 255], [29, 20, 51, 52, 0], [35, 25, 40, 31, 255]),
    _rectangles([96, 64], [7, 9, 41, 71, 255]),
)


def _token_masks_given() -> list[Values]:
    return [
        {"mask": mask, "grid": [mask["size"][0] // 4, mask["size"][1] // 4], "coverage": coverage}
        for mask, coverage in product(_MASKS, COVERAGES)
    ]


def _token_mask(given: Values) -> Values:
    height, width = given["grid"]
    repaint = token_mask(image(given["mask"]), height, width, given["coverage"])
    return {"repaint": np.flatnonzero(repaint).tolist()}


def _pasted_given() -> list[Values]:
    """A spot, a part that reaches the picture's border, and one with a hole in it."""
    size = [9, 11]
    covers = (
        _rectangles(size, [3, 2, 9, 7, 255]),
        _rectangles(size, [5, 0, 11, 9, 255]),
        _rectangles(size, [1, 1, 10, 8, 128], [5, 4, 6, 5, 127]),
    )
    return [
        {
            "drawn": {"size": size, "seed": "1", "channels": 3},
            "original": {"size": size, "seed": "2", "channels": 3},
            "mask": mask,
            "feather": feather,
        }
        for mask, feather in product(covers, (0, 1, 2, 256))
    ]


def _pasted(given: Values) -> Values:
    repaint = pixel_mask(image(given["mask"]))
    return {
        "pixels": pixels(paste_back(picture(given["drawn"]), picture(given["original"]), repaint, given["feather"]))
    }


def _fitted_given() -> list[Values]:
    sizes = (
        ([12, 12], [12, 12]),
        ([20, 20], [8, 8]),
        ([13, 30], [12, 12]),
        ([31, 9], [8, 12]),
        ([6, 6], [16, 16]),
        ([1, 1], [4, 6]),
        ([40, 61], [8, 12]),
    )
    return [
        {"picture": _scene(size, levels), "size": to, "fit": fit}
        for size, to, levels in ((*each, _COLOURS) for each in sizes)
        for fit in FITS
    ] + [{"picture": _scene([23, 37], [90, 180, 60]), "size": [8, 8], "fit": fit} for fit in FITS]


_COLOURS: list[Any] = [[90, 120, 150], [180, 70, 100], [60, 190, 128]]


def _scene(size: list[int], colours: list[Any]) -> Values:
    """Return a picture of middle levels: a filter's overshoot is not cut off, so the order of its passes does not
    matter.
    """
    (height, width), (ground, one, other) = size, colours
    corner, band = [0, 0, width // 2, height // 2, one], [width // 3, height // 4, width, height * 3 // 4, other]
    return {"size": size, "background": ground, "rectangles": [corner, band]}


def _fitted(given: Values) -> Values:
    height, width = given["size"]
    return {"pixels": pixels(fit_image(image(given["picture"]), width, height, given["fit"]))}


def _margins_given() -> list[Values]:
    margins = ((2, 0, 0, 0), (0, 1, 3, 2), (1, 1, 1, 1), (0, 0, 0, 0))
    sides = ("left", "top", "right", "bottom")
    return [
        {"picture": {"size": [2, 3], "seed": "6", "channels": 3}, **dict(zip(sides, each, strict=True))}
        for each in margins
    ]


def _margins(given: Values) -> Values:
    margins = {side: given[side] for side in ("left", "top", "right", "bottom")}
    task = outpainting("", picture(given["picture"]), **margins)
    canvas, mask = task.images[0], task.masks[0]
    return {
        "size": [canvas.height, canvas.width],
        "pixels": pixels(canvas),
        "mask": pixels(mask),
        "fit": task.fit,
        "coverage": task.coverage,
    }


def _hashes_given() -> list[Values]:
    sizes = ([1, 1], [2, 5], [16, 16], [7, 123])
    return [{"picture": {"size": size, "seed": "8", "channels": n}} for size, n in product(sizes, (1, 3))]


def _hashes(given: Values) -> Values:
    shown: Image.Image = image(given["picture"])
    return {"sha256": task_checks.hashes([shown])[0]}


SETS = (
    VectorSet(
        "token-masks",
        "Tokens that a grey mask of the picture's size covers by half or more, or by any pixel.",
        _token_masks_given,
        _token_mask,
    ),
    VectorSet(
        "pasted-pictures",
        "A drawn picture with the original's pixels where the mask is dark, with and without feather.",
        _pasted_given,
        _pasted,
    ),
    VectorSet(
        "fitted-pictures",
        "Pictures brought to a size with a Lanczos filter: cropped, padded, stretched, or refused.",
        _fitted_given,
        _fitted,
        {"pixels": Tolerance(2)},
    ),
    VectorSet("outpainting-canvases", "The canvas and mask of an out-painting.", _margins_given, _margins),
    VectorSet(
        "picture-hashes",
        "By what a state knows a picture that its task was given: SHA-256 of mode, size and pixels.",
        _hashes_given,
        _hashes,
    ),
)
