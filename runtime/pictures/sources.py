"""Pictures that a caller gives: from files, PIL or arrays, of any kind and size, fitted to a bundle's."""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.opening import open_picture

ImageSource = str | Path | Image.Image | NDArray[Any]
"""A file, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, or floats in [0, 1]."""

Fit = Literal["crop", "pad", "stretch", "exact"]
FITS: tuple[str, ...] = get_args(Fit)

_RESAMPLING = Image.Resampling.LANCZOS


def read_image(source: ImageSource) -> Image.Image:
    """Return a picture as RGB in sRGB, turned as its EXIF says, what is transparent on white.

    Raises
    ------
    OptionsError
        It cannot be read, is empty, or is an array of another kind.
    """
    return _on(_read(source), "white").convert("RGB")


def read_mask(source: ImageSource) -> Image.Image:
    """Return a mask as grey levels, 0 to keep and 255 to repaint; what is transparent lies on black. Errors as of
    `read_image`.
    """
    return _on(_read(source), "black").convert("L")


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


def _read(source: ImageSource) -> Image.Image:
    """Return a picture as L, LA, RGB or RGBA."""
    if isinstance(source, np.ndarray):
        return Image.fromarray(_bytes(source))
    if not isinstance(source, str | Path | Image.Image):
        raise OptionsError(f"a picture is {type(source).__name__}; give a file, a PIL image or a NumPy array")
    return open_picture(source)


def _on(image: Image.Image, ground: str) -> Image.Image:
    """Lay what is transparent on a colour."""
    if image.mode not in ("LA", "RGBA"):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image.convert("RGBA"))


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
