"""The state of one picture between two steps: a few KB of JSON that go on to the same picture in another process."""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import StateError
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.system.whole_file import whole_file
from amused_edge.runtime.tasks.parameters import PictureParameters

VERSION = 1
_FORMAT = "amused-edge state"
_LARGEST_SIDE = 4096


@dataclass(frozen=True, eq=False)
class PictureState:
    """All that is needed to go on with a picture, but for pictures and embeddings that the task was given.

    Attributes
    ----------
    parameters
        What the picture is drawn from.
    next_step
        The step that comes next, from 0; the number of steps when the picture is finished.
    tokens, probability
        (h, w) int64 and float32, as in `Step`.
    starting_mask_ratio
        Share of the grid that the schedule starts from.
    """

    parameters: PictureParameters
    next_step: int
    tokens: IntArray
    probability: FloatArray
    starting_mask_ratio: float = 1.0

    def after(self, step: Step, picture: int = 0) -> "PictureState":
        """Return the state after a step, in which the picture has this place."""
        return replace(
            self, next_step=step.index + 1, tokens=step.tokens[picture], probability=step.probability[picture]
        )

    def to_json(self) -> str:
        """Return the state as JSON, with a hash of itself."""
        content = {
            "format": _FORMAT,
            "version": VERSION,
            "parameters": self.parameters.to_dict(),
            "next_step": self.next_step,
            "starting_mask_ratio": self.starting_mask_ratio,
            "grid": list(self.tokens.shape),
            "tokens": packed(self.tokens.astype("<i4")),
            "probability": packed(self.probability.astype("<f4")),
        }
        return json.dumps({**content, "sha256": hash_of(content)}, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "PictureState":
        """Read what `to_json` wrote.

        Raises
        ------
        StateError
            It is damaged, of a newer version, or anything else.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise damaged(str(error)) from error
        values = Fields(content, "state", "it is damaged", damaged)
        if values.get("format", str) != _FORMAT or values.get("version", int) != VERSION:
            raise StateError("this is no state, or one of another version; use the amused-edge that wrote it")
        if content.pop("sha256", None) != hash_of(content):
            raise StateError("the state is damaged: its hash does not fit; begin the picture again")
        return _state(values)

    def save(self, path: str | Path) -> None:
        """Write the state to a file, which is replaced whole or not at all."""
        with whole_file(Path(path), replace=True) as file:
            file.write(self.to_json().encode())

    @staticmethod
    def load(path: str | Path) -> "PictureState":
        """Read a file that `save` wrote; raises `StateError` as `from_json` does, also where there is none."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{path} cannot be read as a state: {error}") from error
        return PictureState.from_json(text)


def _state(values: Fields) -> PictureState:
    parameters = PictureParameters.from_dict(values.get("parameters", dict))
    shape = tuple(values.values("grid", int))
    if len(shape) != 2 or not all(1 <= side <= _LARGEST_SIDE for side in shape):
        raise StateError(f"the state's grid is {list(shape)}; begin the picture again")
    next_step, ratio = values.get("next_step", int), values.get("starting_mask_ratio", float)
    probability = unpacked(values.get("probability", str), shape, "<f4").astype(np.float32)
    if not 0 <= next_step <= parameters.settings.steps or not 0.0 < ratio <= 1.0:
        raise StateError(f"the state stands before step {next_step} of {parameters.settings.steps}, ratio {ratio}")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise StateError("the state's probabilities are not within 0 to 1; begin the picture again")
    tokens = unpacked(values.get("tokens", str), shape, "<i4").astype(np.int64)
    return PictureState(parameters, next_step, tokens, probability, ratio)


def damaged(why: str) -> StateError:
    """Return the error of a state that cannot be read."""
    return StateError(f"the state is damaged ({why}); begin the picture again")


def hash_of(content: dict[str, Any]) -> str:
    """Return the hash of a state's other fields."""
    try:
        text = json.dumps(content, sort_keys=True)
    except RecursionError as error:  # lists within each other may be read and yet not be written
        raise damaged(str(error)) from error
    return hashlib.sha256(text.encode()).hexdigest()


def packed(array: NDArray[Any]) -> str:
    """Return an array's bytes as text."""
    return base64.b64encode(zlib.compress(array.tobytes())).decode()


def unpacked(text: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return the array of `packed`; no more bytes are unpacked than the shape has."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise damaged(str(error)) from error
    if len(content) != size:
        raise damaged(f"{len(content)} bytes for a grid of {size}")
    return np.frombuffer(content, dtype).reshape(shape)
