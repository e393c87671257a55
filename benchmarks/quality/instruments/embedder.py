"""Features of pictures by a network that the user gives, for KID and FID."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amused_edge.benchmarks.metrics.sets import Features
from amused_edge.benchmarks.quality.instruments.onnx_model import only_picture_input, open_session, run
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pictures import ImageArray


class Embedder:
    """An ONNX file from pictures to features.

    Its one input is pictures (see `PictureInput`; whatever normalization the network wants is the graph's own part);
    its output `features`, or the first output, is (batch, D) floats.

    Raises
    ------
    OptionsError
        The file cannot be loaded or takes or gives something else.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        what = self._what = f"the embedder {path}"
        self._session = open_session(path, "the embedder", threads)
        self._pictures = only_picture_input(self._session, what)
        outputs = {output.name: output for output in self._session.get_outputs()}
        chosen = outputs.get("features", next(iter(outputs.values())))
        if len(chosen.shape) != 2 or chosen.type not in ("tensor(float)", "tensor(double)", "tensor(float16)"):
            raise OptionsError(
                f"{what} gives {quoted(chosen.name)} of type {chosen.type} and shape {list(chosen.shape)}; it must "
                "give features, floats of shape (batch, D)"
            )
        self._output = chosen.name

    def __call__(self, images: Sequence[ImageArray]) -> Features:
        """Return the features (n, D) float64 of pictures (H, W, 3) uint8."""
        feeds = ({self._pictures.name: batch} for batch in self._pictures.batches(images))
        rows = [run(self._session, [self._output], feed, self._what)[0] for feed in feeds]
        return np.concatenate(rows)[: len(images)].astype(np.float64)
