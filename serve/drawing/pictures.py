"""Pictures on the wire: base64 in, checked before they are decoded; PNG and base64 out."""

import base64
import binascii
import threading

from PIL import Image, ImageOps

from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.pictures.files import encode_png
from amused_edge.runtime.pictures.opening import decode_picture
from amused_edge.serve import limits

_DECODING = threading.Lock()
"""One is decoded at a time: a small file can be a large picture."""


def from_base64(name: str, text: object) -> Image.Image:
    """Decode a picture of a request.

    Parameters
    ----------
    name
        Of its field.
    text
        The file's content as base64, or a `data:` address of it.

    Raises
    ------
    OptionsError
        It is no text, no base64, or no picture that can be read.
    """
    if not isinstance(text, str):
        raise OptionsError(f"{name} is {quoted(text)}; give a picture file as base64")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OptionsError(f"{name} is not base64: {error}") from error
    return from_file(name, content)


def from_file(name: str, content: bytes) -> Image.Image:
    """Decode the content of a file; raises `OptionsError`."""
    if not content:
        raise OptionsError(f"{name} is empty; give a picture file")
    with _DECODING:
        return decode_picture(content, name, limits.PIXELS)


def to_base64(image: ImageArray, parameters: str = "") -> str:
    """Return a picture (H, W, 3) as a PNG in base64, its parameters inside."""
    return base64.b64encode(encode_png(image, parameters)).decode("ascii")


def transparent_part(picture: Image.Image) -> Image.Image | None:
    """Return where a picture is transparent, as a mask that is bright there; None where it is nowhere."""
    if picture.mode not in ("LA", "RGBA"):
        return None
    alpha = picture.getchannel("A")
    darkest, _ = alpha.getextrema()
    return None if darkest == 255 else ImageOps.invert(alpha)


def opaque(picture: Image.Image) -> Image.Image:
    """Return a picture's colours, also of what is transparent."""
    return picture.convert("RGB")
