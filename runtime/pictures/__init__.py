"""Pictures: read and fitted for a bundle, blended, laid out, explained, written. Arrays are (H, W, 3) uint8 RGB."""

from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.pictures.files import (
    check_png_name,
    check_png_path,
    read_parameters,
    write_animation,
    write_png,
)
from amused_edge.runtime.pictures.sheet import contact_sheet

__all__ = [
    "ImageArray",
    "check_png_name",
    "check_png_path",
    "contact_sheet",
    "read_parameters",
    "write_animation",
    "write_png",
]
