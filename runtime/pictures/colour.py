"""Colours of pictures from elsewhere, brought to sRGB, which models are trained on."""

import io
from warnings import warn

import numpy as np
from PIL import Image, ImageCms

from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import AmusedEdgeWarning, first_line

_MODES = {"GRAY": ("L", "LA"), "RGB": ("RGB", "RGBA", "L", "LA"), "CMYK": ("CMYK",)}
"""Colour space of a profile -> modes of pictures that it can describe."""

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
"""For grey without the library's tables, which are up to 9 levels off there; colours come within 1.5 with them."""


def to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Return a picture in sRGB.

    The conversion is relative colorimetric with black point compensation: white stays white, black stays black, colours
    that sRGB has stay what they are, others become its nearest.

    Parameters
    ----------
    image
        Mode L, LA, RGB, RGBA or CMYK.
    profile
        Its ICC profile. Without one it is taken for sRGB, CMYK for plain inks. One that is damaged or belongs to
        another kind of picture is ignored, and a warning (`AmusedEdgeWarning`) says so.
    name
        Of the picture, for the warning.

    Returns
    -------
    Mode L, LA, RGB or RGBA; the very same picture where its profile is sRGB.
    """
    if profile:
        try:
            return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (OSError, ValueError, TypeError, ImportError, ImageCms.PyCMSError) as error:
            warn(
                f"the colour profile of {name} was ignored, its colours are taken for sRGB: {first_line(error)}",
                AmusedEdgeWarning,
                stacklevel=2,
            )
    return image.convert("RGB") if image.mode == "CMYK" else image


_CONVERTED = "the converted picture"
"""Pillow works in place, and returns none, only where asked to."""


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    space = profile.profile.xcolor_space.strip()
    if image.mode not in _MODES.get(space, ()):
        raise ValueError(f"it describes {space}, and the picture is {image.mode}")
    mode, flags = ("L", _FLAGS | ImageCms.Flags.NOOPTIMIZE) if space == "GRAY" else (space, _FLAGS)
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, flags=flags)
    if mode != "CMYK" and _changes_nothing(transform, mode):
        return image
    converted = present(ImageCms.applyTransform(image.convert(mode), transform), _CONVERTED)
    if image.mode in ("LA", "RGBA"):
        converted.putalpha(image.getchannel("A"))
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB, up to what rounding and its tables make of it: such pictures keep their pixels."""
    levels = np.arange(256, dtype=np.uint8)
    probe = Image.fromarray(levels[None])
    if mode == "RGB":
        axis = levels[::15]
        cube = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)
        probe = Image.fromarray(np.concatenate([levels[None, :, None].repeat(3, 2), cube], axis=1))
    converted = present(ImageCms.applyTransform(probe, transform), _CONVERTED)
    moved = np.asarray(converted, np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return bool(np.abs(moved).max() <= 1)
