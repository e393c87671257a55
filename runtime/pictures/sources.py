"""Pictures that a caller gives: from files, PIL or arrays, of any kind and size, fitted to a bundle's."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.arrays import ImageArray

ImageSource = str | Path | Image.Image | NDArray[Any]
"""A file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, or floats in [0, 1]."""

Fit = Literal["crop", "pad", "stretch", "exact"]
FITS: tuple[str, ...] = get_args(Fit)

_RESAMPLING = Image.Resampling.LANCZOS


UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises where a file is damaged, or larger than it takes."""


def read_image(source: ImageSource) -> Image.Image:
    """Return a picture as RGB, turned as its EXIF says, what is transparent on white.

    Raises
    ------
    OptionsError
        It cannot be read, is empty, or is an array of another kind.
    """
    return _read(source, _to_rgb)


def read_mask(source: ImageSource) -> Image.Image:
    """Return a mask as grey levels, 0 to keep and 255 to repaint; its transparency is ignored. Errors as of
    `read_image`.
    """
    return _read(source, lambda image: image.convert("L"))


def fit_image(image: Image.Image, width: int, height: int, how: Fit) -> Image.Image:
    """Bring a picture to a size by Lanczos filtering: cut what is too much from the middle ("crop"), add grey borders
    ("pad"), change its proportions ("stretch"), or refuse a picture of other proportions ("exact").
    """
    if image.size == (width, height):
        return image
    if how == "exact":
        check_proportions(image, width, height)
    if how in ("stretch", "exact"):
        return image.resize((width, height), _RESAMPLING)
    if how == "crop":
        return ImageOps.fit(image, (width, height), _RESAMPLING)
    scale = min(width / image.width, height / image.height)
    inner = (min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale))))
    canvas = Image.new(image.mode, (width, height), "grey" if image.mode == "RGB" else 0)
    canvas.paste(image.resize(inner, _RESAMPLING), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def check_proportions(image: Image.Image, width: int, height: int) -> None:
    """Raise `OptionsError` if a picture has not the proportions of a size, up to a pixel."""
    if abs(image.width * height - image.height * width) >= max(image.size):
        raise OptionsError(
            f"a picture of {image.width}x{image.height} has other proportions than the bundle's {width}x{height}; "
            "choose another size, other margins, or let it be cropped, padded or stretched"
        )


def _read(source: ImageSource, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    if isinstance(source, np.ndarray):
        return convert(Image.fromarray(_bytes(source)))
    if not isinstance(source, str | Path | Image.Image):
        raise OptionsError(f"a picture is {type(source).__name__}; give a file, a PIL image or a NumPy array")
    name = "the picture" if isinstance(source, Image.Image) else str(source)
    try:
        with contextlib.nullcontext(source) if isinstance(source, Image.Image) else Image.open(source) as image:
            return convert(_plain(ImageOps.exif_transpose(image)))
    except FileNotFoundError as error:
        raise OptionsError(f"picture {source} does not exist") from error
    except OptionsError:
        raise
    except UNREADABLE as error:
        raise OptionsError(f"{name} cannot be read as a picture: {error}") from error


def _plain(image: Image.Image) -> Image.Image:
    """Return a picture in a mode from which Pillow converts to RGB and to grey as it should."""
    if image.mode.startswith("I;16"):  # cut off otherwise, not scaled
        levels = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise OptionsError(f"a picture has levels of unknown range (mode {image.mode}); convert it to 8 bits first")
    return image.convert({"La": "LA", "RGBa": "RGBA", "LAB": "RGB"}.get(image.mode, image.mode))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _bytes(array: NDArray[Any]) -> ImageArray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if (array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise OptionsError(f"a picture is an array of shape {list(array.shape)}; give (H, W), (H, W, 3) or (H, W, 4)")
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if np.issubdtype(array.dtype, np.floating):
        if not (array >= 0).all() or not (array <= 1).all():  # also not a number
            raise OptionsError("a picture is an array of floats that are not all within 0 to 1")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise OptionsError(f"a picture is an array of {array.dtype}; give uint8, or floats from 0 to 1")
    return np.ascontiguousarray(array)
