"""Moving pictures as files: WebP, GIF and animated PNG by Pillow, MP4 by PyAV; written whole or not at all."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from amused_edge.runtime.arrays import ImageArray
from amused_edge.runtime.bundle.places import check_new_file
from amused_edge.runtime.checks import real_number
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures.files import extras
from amused_edge.runtime.system.whole_file import whole_file

_PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    ".webp": ("WEBP", {"quality": 90, "method": 6}),
    ".gif": ("GIF", {"disposal": 1}),
    ".png": ("PNG", {"default_image": False}),
}
CLIP_SUFFIXES = (*_PILLOW, ".mp4")

_QUALITY = "18"
"""Of H.264, its constant rate factor: hardly to be told from the pictures."""


def write_clip(frames: Iterable[ImageArray], path: Path, fps: float, parameters: str = "") -> None:
    """Write a clip that is shown again and again; the name says as what.

    Parameters
    ----------
    frames
        Each (H, W, 3). MP4 takes them one by one; for the other kinds all are in memory at once.
    fps
        Frames per second, 0.1 to 60. GIF rounds the time of a frame to a hundredth of a second.
    parameters
        How the clip was drawn, as JSON, for animated PNG, which alone holds it.

    Raises
    ------
    OptionsError
        The name ends in something else, its folder cannot be written to, or `fps` is out of range.
    OutputExistsError
        The file exists.
    """
    check_clip_path(path)
    seconds = 1 / check_fps(fps)
    with whole_file(path) as file:
        if path.suffix.lower() == ".mp4":
            _write_mp4(frames, file, fps)
        else:
            _write_pictures(frames, file, path.suffix.lower(), seconds, parameters)


def check_clip_path(path: Path) -> None:
    """Raise, before any work is done, what `write_clip` would raise for this path; for MP4, load its library."""
    suffix = path.suffix.lower()
    if suffix not in CLIP_SUFFIXES:
        raise OptionsError(f"{path} is no name of a clip; let it end in {', '.join(CLIP_SUFFIXES)}")
    check_new_file(path)
    if suffix == ".mp4":
        import av  # noqa: F401


def check_fps(fps: float) -> float:
    """Return a number of frames per second, or raise `OptionsError`."""
    number = real_number("fps", fps)
    if not 0.1 <= number <= 60:
        raise OptionsError(f"fps is {number:g}; it must be between 0.1 and 60")
    return number


def _write_pictures(frames: Iterable[ImageArray], file: BinaryIO, suffix: str, seconds: float, parameters: str) -> None:
    kind, options = _PILLOW[suffix]
    first, *others = [Image.fromarray(frame) for frame in frames]
    if kind == "PNG":
        options = {**options, "pnginfo": extras(parameters)}
    # Pillow cuts GIF's times to hundredths; browsers show what is shorter than two of them as ten.
    milliseconds = 10 * max(2, round(100 * seconds)) if kind == "GIF" else round(1000 * seconds)
    first.save(file, format=kind, save_all=True, append_images=others, duration=milliseconds, loop=0, **options)


def _write_mp4(frames: Iterable[ImageArray], file: BinaryIO, fps: float) -> None:
    import av

    with av.open(file, "w", format="mp4") as container:
        stream = None
        for frame in frames:
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
                stream.options = {"crf": _QUALITY}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())
