"""The generations that a recipe is calibrated on: a bundle draws, with graphs that watch what goes through them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.rows import of_any_batch
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import TextToImage

CONDITIONED_PER_DRAWN = 8
"""Prompts that pass the text encoder and the conditioner for each that is drawn: they see but one state per prompt."""

SEED = 2**32
"""Of the generations; far from the seeds that measurements use."""


def calibrating(report: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what is called with each picture that is drawn, and of how many, and says so."""
    return lambda index, count: report(f"calibrating: picture {index + 1} of {count}")


def draw(
    bundle: Bundle,
    watched: Mapping[str, Graph],
    calibration: Calibration,
    prompts: Sequence[str],
    options: EngineOptions,
    *,
    on_picture: Callable[[int, int], None] | None = None,
) -> None:
    """Draw pictures with a bundle, some of whose graphs are replaced by ones that watch; they are closed after it.

    Parameters
    ----------
    watched
        Role -> graph, of the batch that the bundle's own has.
    prompts
        One or more; if there are fewer than the calibration asks for, they are drawn again with other noise.
    options
        Of the other graphs.
    """

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
        if role not in watched:
            return load_graph(bundle, role, options)
        return of_any_batch(role, bundle.graph(role), watched[role])

    with AmusedPipeline(bundle, options, load=load) as pipeline:
        for role in watched:
            pipeline.graph(role)
        drawn = watched.keys() & {"denoiser", "image_decoder", "image_encoder"}
        for index in range(calibration.prompts if drawn else 0):
            if on_picture is not None:
                on_picture(index, calibration.prompts)
            task = TextToImage(prompts[index % len(prompts)], first_picture=index)
            images = pipeline.generate(task, GenerationOptions(seed=SEED)).images
            if "image_encoder" in watched:
                pipeline.encode(images)
        if watched.keys() & {"text_encoder", "conditioner"}:
            for prompt in prompts[: calibration.prompts * CONDITIONED_PER_DRAWN]:
                pipeline.condition([prompt])


def second_moments(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return X^T X (K, K) of values (..., K), over all but the last axis."""
    rows = values.reshape(-1, values.shape[-1])
    return (rows.T @ rows).astype(np.float64)
