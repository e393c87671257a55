"""An ONNX file that a user gives to measure with: loaded, its pictures fed as it wants them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from amused_edge.runtime.engines.onnx.session import session_options
from amused_edge.runtime.engines.options import CPU_PROVIDER, EngineOptions
from amused_edge.runtime.errors import OptionsError, first_line, quoted
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.system.library_paths import library_path

BATCH = 32


def open_session(path: Path, what: str, threads: int | None = None) -> ort.InferenceSession:
    """Load a model, to run on so many threads; raises `OptionsError`, which calls it `what`, if that fails."""
    try:
        options = session_options(EngineOptions(threads=threads))
        return ort.InferenceSession(library_path(path), options, providers=[CPU_PROVIDER])
    except Exception as error:  # the binding's exceptions have no public base
        raise OptionsError(f"cannot load {what} {path}: {first_line(error)}") from error


def run(session: ort.InferenceSession, outputs: Sequence[str], feeds: dict[str, Any], what: str) -> list[Any]:
    """Run a model; raises `OptionsError`, which calls it `what`, if that fails."""
    try:
        found: list[Any] = session.run(list(outputs), feeds)
    except Exception as error:  # the binding's exceptions have no public base
        raise OptionsError(f"{what} cannot compute these pictures: {first_line(error)}") from error
    return found


class PictureInput:
    """How a model wants its pictures.

    Parameters
    ----------
    tensor
        One of the session's inputs: four axes, three channels in the second (NCHW) or the last (NHWC), float32 for
        values in [0, 1] or uint8. A side of fixed size is what pictures are resized to.
    what
        The model in error messages.

    Raises
    ------
    OptionsError
        The input is of another kind.
    """

    def __init__(self, tensor: Any, what: str) -> None:
        shape = tensor.shape
        if len(shape) != 4 or tensor.type not in ("tensor(float)", "tensor(uint8)") or 3 not in (shape[1], shape[3]):
            raise OptionsError(
                f"{what} takes {quoted(tensor.name)} of type {tensor.type} and shape {list(shape)}; it must take "
                "pictures, "
                "float32 in [0, 1] or uint8, of shape (batch, 3, height, width) or (batch, height, width, 3)"
            )
        self.name: str = tensor.name
        self._what = what
        self._channels_first = shape[1] == 3
        self._floats = tensor.type == "tensor(float)"
        sides = shape[2:] if self._channels_first else shape[1:3]
        self._sides = tuple(side if isinstance(side, int) else None for side in sides)
        self._fixed_batch = isinstance(shape[0], int)
        self._batch: int = shape[0] if self._fixed_batch else BATCH

    def batches(self, images: Sequence[ImageArray]) -> Iterator[NDArray[Any]]:
        """Yield pictures (H, W, 3) uint8 as the model takes them, in batches that it takes."""
        for first in range(0, len(images), self._batch):
            some = [self._resized(image) for image in images[first : first + self._batch]]
            if self._fixed_batch:
                some += [some[-1]] * (self._batch - len(some))  # whoever asks cuts these off
            if len({image.shape for image in some}) > 1:
                raise OptionsError(
                    f"{self._what} takes pictures as they are, and these are of more than one size; give a model of "
                    "fixed height and width, or pictures of one size"
                )
            yield self._arranged(np.stack(some))

    def sides(self, image: ImageArray) -> tuple[int, int]:
        """Return the (height, width) that a picture is resized to."""
        height, width = (wanted or side for wanted, side in zip(self._sides, image.shape[:2], strict=True))
        return height, width

    def _resized(self, image: ImageArray) -> ImageArray:
        height, width = self.sides(image)
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))

    def _arranged(self, images: ImageArray) -> NDArray[Any]:
        arranged = np.moveaxis(images, 3, 1) if self._channels_first else images
        return np.ascontiguousarray(arranged.astype(np.float32) / 255 if self._floats else arranged)


def only_picture_input(session: ort.InferenceSession, what: str) -> PictureInput:
    """Return the single input of a model."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise OptionsError(f"{what} takes {len(inputs)} inputs; it must take one, the pictures")
    return PictureInput(inputs[0], what)
