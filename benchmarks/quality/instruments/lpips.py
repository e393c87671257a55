"""LPIPS, the distance of two pictures in a trained network's eyes, by an ONNX file that holds its weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.quality.instruments.onnx_model import PictureInput, open_session, run
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray

SMALLEST_SIDE = 32
"""Of the pictures, in pixels: AlexNet's layers leave nothing of smaller ones."""

INPUTS, OUTPUT = ("reference", "other"), "distance"


class Lpips:
    """A file that `lpips_model` wrote, or another with the same inputs and output.

    `reference` and `other` are pictures (see `PictureInput`), `distance` is (batch,) float32, 0 for equal pictures.

    Raises
    ------
    OptionsError
        The file cannot be loaded or takes or gives something else.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        what = self._what = f"the LPIPS model {path}"
        self._session = open_session(path, "the LPIPS model", threads)
        inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        outputs = [tensor.name for tensor in self._session.get_outputs()]
        if set(inputs) != set(INPUTS) or OUTPUT not in outputs:
            raise OptionsError(
                f"{what} takes {', '.join(inputs)} and gives {', '.join(outputs)}; it must take "
                f"{' and '.join(INPUTS)} and give {OUTPUT}"
            )
        self._inputs = [PictureInput(inputs[name], what) for name in INPUTS]

    def __call__(self, references: Sequence[ImageArray], others: Sequence[ImageArray]) -> NDArray[np.float64]:
        """Return the distances (n,) of pictures (H, W, 3) uint8, pair by pair.

        Raises
        ------
        OptionsError
            A side of the pictures, as the model is fed them, is below `SMALLEST_SIDE`.
        """
        smallest = min(side for wanted in self._inputs for image in references for side in wanted.sides(image))
        if smallest < SMALLEST_SIDE:
            raise OptionsError(f"pictures of {smallest} pixels are too small for LPIPS, {SMALLEST_SIDE} are the least")
        pairs = zip(
            *(side.batches(images) for side, images in zip(self._inputs, (references, others), strict=True)),
            strict=True,
        )
        rows = [run(self._session, [OUTPUT], dict(zip(INPUTS, pair, strict=True)), self._what)[0] for pair in pairs]
        return np.concatenate(rows).reshape(-1)[: len(references)].astype(np.float64)
