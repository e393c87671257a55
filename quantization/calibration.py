"""Draws with a parent bundle to see what goes through its graphs; how to look into one is its engine's matter."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.quantization.rounding.ranges import Range, RangeObserver
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import TextToImage

CONDITIONED_PER_DRAWN = 8
"""Prompts that pass the text encoder and the conditioner for each that is drawn: they see but one state per prompt."""

SEED = 2**32
"""Of the generations; far from the seeds that measurements use."""

Load = Callable[[Bundle, str, EngineOptions], Graph]


class Observer:
    """Sees values by name, again and again.

    Parameters
    ----------
    products
        Names of values whose X^T X (over all but the last axis) is summed up.
    ranges
        Names of values whose range is observed.
    """

    def __init__(self, products: Collection[str], ranges: Collection[str]) -> None:
        self._products: dict[str, NDArray[np.float64] | float] = dict.fromkeys(products, 0.0)
        self._ranges = {name: RangeObserver() for name in ranges}

    def add(self, values: Mapping[str, NDArray[Any]]) -> None:
        """See the values of one call of a graph."""
        for name in self._products:
            rows = values[name].reshape(-1, values[name].shape[-1]).astype(np.float32, copy=False)
            self._products[name] = self._products[name] + (rows.T @ rows).astype(np.float64)
        for name, observer in self._ranges.items():
            observer.add(values[name])

    def products(self) -> dict[str, NDArray[np.float64]]:
        """Return X^T X (K, K) by name."""
        return {name: np.asarray(product) for name, product in self._products.items()}

    def ranges(self, calibration: Calibration) -> dict[str, Range]:
        """Return ranges by name; raises `QuantizationError` where nothing was seen, or nothing finite."""
        found = {}
        for name, observer in self._ranges.items():
            try:
                found[name] = observer.range(calibration.ranges)
            except ValueError as error:
                raise QuantizationError(f"calibration cannot use the value {quoted(name)}: {error}") from error
        return found


def draw(
    bundle: Bundle,
    roles: Collection[str],
    load: Load,
    calibration: Calibration,
    prompts: Sequence[str],
    *,
    on_picture: Callable[[int, int], None] | None = None,
) -> None:
    """Draw pictures with a bundle, so that the graphs of some roles are called with what they meet in use.

    Parameters
    ----------
    load
        Gives the graphs, those of `roles` as ones that are looked into.
    prompts
        One or more; if there are fewer than the calibration asks for, they are drawn again with other noise.
    """
    with AmusedPipeline(bundle, EngineOptions(remembered_prompts=0), load=load) as pipeline:
        for role in roles:
            pipeline.graph(role)
        drawn = set(roles) & {"denoiser", "image_decoder", "image_encoder"}
        for index in range(calibration.prompts if drawn else 0):
            if on_picture is not None:
                on_picture(index, calibration.prompts)
            task = TextToImage(prompts[index % len(prompts)], first_picture=index)
            images = pipeline.generate(task, GenerationOptions(seed=SEED)).images
            if "image_encoder" in roles:
                pipeline.encode(images)
        if set(roles) & {"text_encoder", "conditioner"}:
            for prompt in prompts[: calibration.prompts * CONDITIONED_PER_DRAWN]:
                pipeline.condition([prompt])
