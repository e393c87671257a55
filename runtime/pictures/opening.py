"""The door that pictures come in by: files and PIL images, decoded, upright, in sRGB, nothing beside their pixels."""

import contextlib
import io
from pathlib import Path
from warnings import warn

import numpy as np
from PIL import Image, ImageFile

from amused_edge.runtime.errors import AmusedEdgeWarning, OptionsError, first_line
from amused_edge.runtime.pictures.colour import to_srgb
from amused_edge.runtime.pictures.png_chunks import bare_png

_ORIENTATION = 0x0112
"""The one EXIF tag that matters."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
"""Form of a file's grey levels -> 8-bit levels from one to the next."""

_FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JXL", "TIFF", "GIF", "BMP", "DIB", "PPM", "JPEG2000", "TGA"),
    *("QOI", "PCX", "SGI", "DDS", "ICO", "ICNS"),
)
"""Of files, where Pillow or a plug-in of the user's reads them. Not EPS, which it hands to another program."""

_NEAREST_MODES = {"La": "LA", "RGBa": "RGBA", "LAB": "RGB", "HSV": "RGB", "YCbCr": "RGB", "RGBX": "RGB", "PA": "RGBA"}


def open_picture(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture of its own, upright as its EXIF says, in sRGB: mode L, LA, RGB or RGBA.

    Of an animation it is the first picture. What stands beside the pixels and cannot be read is ignored; a warning
    (`AmusedEdgeWarning`) says so if it is more than EXIF.

    Raises
    ------
    OptionsError
        It cannot be read, or has levels of unknown range.
    """
    name = "the picture" if isinstance(source, Image.Image) else str(source)
    try:
        if isinstance(source, Image.Image):
            return _plain(source, name)
        with _decoded(Path(source)) as image:
            return _plain(image, name)
    except FileNotFoundError as error:
        raise OptionsError(f"picture {source} does not exist") from error
    except OptionsError:
        raise
    except Image.DecompressionBombError as error:
        raise OptionsError(f"{name} is too large ({first_line(error)}); scale it down first") from error
    except Exception as error:  # readers of damaged files raise many kinds
        raise OptionsError(f"{name} cannot be read as a picture: {first_line(error)}") from error


def check_picture(path: Path) -> None:
    """Raise as `open_picture` where a file is no picture; of one that begins as such, the pixels are not read."""
    try:
        with _opened(path):
            return
    except Exception:  # which is told below, unless it can be read all the same
        open_picture(path)


def decode_picture(content: bytes, name: str, pixels: int) -> Image.Image:
    """Return what `open_picture` returns of a file with this content; a name stands for it in messages.

    Parameters
    ----------
    pixels
        A picture of more is refused before any of them is decoded.

    Raises
    ------
    OptionsError
        As of `open_picture`, or it is too large.
    """
    try:
        with _opened(io.BytesIO(content)) as header:
            _check_pixels(header, name, pixels)
        try:
            image = _loaded(io.BytesIO(content))
        except Exception:  # as below
            found = _bare(content)
            if found is None:
                raise
            image = found
        with image:
            _check_pixels(image, name, pixels)  # icons hold others than they announce
            return _plain(image, name)
    except OptionsError:
        raise
    except Exception as error:  # readers of damaged files raise many kinds
        raise OptionsError(f"{name} cannot be read as a picture: {first_line(error)}") from error


def _check_pixels(image: Image.Image, name: str, pixels: int) -> None:
    if image.width * image.height > pixels:
        size = f"{image.width}x{image.height} pixels, of at most {pixels}"
        raise OptionsError(f"{name} is too large: {size}; scale it down first")


def _decoded(path: Path) -> Image.Image:
    """Open a file and decode its pixels; a PNG with damaged extras is read without them."""
    try:
        return _loaded(path)
    except Exception as error:  # as above
        image = None if isinstance(error, Image.DecompressionBombError) else _without_extras(path)
        if image is None:
            raise
    warn(f"what stands beside the pixels of {path} is damaged and was ignored", AmusedEdgeWarning, stacklevel=2)
    return image


def _without_extras(path: Path) -> Image.Image | None:
    """Decode a PNG with its colour profile and EXIF alone or, where they are damaged, without; None if that fails."""
    if not path.is_file():
        return None
    return _bare(path.read_bytes())


def _bare(content: bytes) -> Image.Image | None:
    for kept in (("iCCP", "eXIf"), ()):
        with contextlib.suppress(Exception):  # the reason of the first attempt is the one to tell
            return _loaded(io.BytesIO(bare_png(content, kept)))
    return None


def _opened(source: Path | io.BytesIO) -> ImageFile.ImageFile:
    Image.init()
    return Image.open(source, formats=[name for name in _FORMATS if name in Image.OPEN])


def _loaded(source: Path | io.BytesIO) -> Image.Image:
    image = _opened(source)
    try:
        _scale_transparent_colour(image)
        image.load()
    except BaseException:
        image.close()
        raise
    return image


def _scale_transparent_colour(image: ImageFile.ImageFile) -> None:
    """Bring a PNG's transparent colour to 8 bits, as Pillow brings its pixels but not that."""
    value, form = image.info.get("transparency"), image.tile[0].args if image.tile else None
    if form in _STEPS and isinstance(value, int):
        image.info["transparency"] = min(value * _STEPS[form], 255)
    elif form == "RGB;16B" and isinstance(value, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in value)


def _plain(image: Image.Image, name: str) -> Image.Image:
    image.load()
    if 0 in image.size:
        raise OptionsError(f"{name} is empty: it has {image.width}x{image.height} pixels")
    if image.mode in ("I", "F"):
        raise OptionsError(f"{name} has levels of unknown range (mode {image.mode}); convert it to 8 bits first")
    turn = _UPRIGHT.get(_orientation(image))
    upright = image if turn is None else image.transpose(turn)
    plain = to_srgb(_common_mode(upright), image.info.get("icc_profile"), name)
    plain.info = {}  # nobody turns or converts it a second time
    return plain


def _orientation(image: Image.Image) -> int:
    """Return how a picture is to be turned; 1, not at all, where EXIF is missing, damaged, or says something else."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF raises many kinds, and is no reason to refuse a picture
        return 1


def _common_mode(image: Image.Image) -> Image.Image:
    """Return a copy of a picture as L, LA, RGB, RGBA or CMYK, its transparency in a channel of its own."""
    if image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("1", "L", "RGB") and image.has_transparency_data:
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    return image.convert("L" if image.mode == "1" else _NEAREST_MODES.get(image.mode, image.mode))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit levels, which Pillow would cut off."""
    levels = np.asarray(image).astype(np.uint32)
    plain = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        plain.putalpha(Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8)))
    return plain
