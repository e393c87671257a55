"""A bundle's golden input and output: a few numbers, stored when it was made, that show that an engine computes it
rightly.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.bundle.golden import Golden, Tolerance
from amused_edge.runtime.errors import BundleError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.tasks.kinds import TextToImage

if TYPE_CHECKING:
    from amused_edge.runtime.pipeline import AmusedPipeline


_LOGITS = 16
_PIXELS = 4


@dataclass(frozen=True)
class GoldenReport:
    """How a run on this machine compares with the golden output.

    Attributes
    ----------
    same_ids
        Whether the prompt's ids are the same.
    logit_error
        Largest |difference| of the logits, relative to the largest |logit|.
    equal_tokens
        Share of the grid drawn alike.
    pixel_error
        Largest difference of the corner of the stored tokens' picture, of 255.
    tolerance
        What the bundle allows.
    """

    same_ids: bool
    logit_error: float
    equal_tokens: float
    pixel_error: int
    tolerance: Tolerance

    @property
    def reproduced(self) -> bool:
        """Whether the engine computes the bundle's numbers, up to rounding; `equal_tokens` says how far that led."""
        allowed = self.tolerance
        return self.same_ids and self.logit_error <= allowed.logits and self.pixel_error <= allowed.pixels


def draw(pipeline: "AmusedPipeline", prompt: str, tolerance: Tolerance | None = None) -> Golden:
    """Run the golden input on a pipeline."""
    result = pipeline.generate(TextToImage(prompt), GenerationOptions(seed=0))
    return describe(pipeline, prompt, result.tokens, result.images, tolerance)


def describe(
    pipeline: "AmusedPipeline", prompt: str, tokens: IntArray, images: ImageArray, tolerance: Tolerance | None = None
) -> Golden:
    """Return the golden output of a pipeline that drew these tokens (1, h, w) and this picture (1, H, W, 3)."""
    return Golden(
        prompt,
        pipeline.tokenizer([prompt])[0].tolist(),
        [float(v) for v in pipeline.first_logits(prompt)[0, :_LOGITS]],
        tokens.reshape(-1).tolist(),
        images[0, :_PIXELS, :_PIXELS].reshape(-1).tolist(),
        tolerance or Tolerance(),
    )


def compare(pipeline: "AmusedPipeline") -> GoldenReport:
    """Run the golden input on a pipeline and compare with what its bundle stored.

    The decoder is judged on the stored tokens, so that a token drawn otherwise does not count against it.
    """
    golden = Golden.from_json(pipeline.bundle.golden.read_text(encoding="utf-8"))
    now = draw(pipeline, golden.prompt)
    for name in ("input_ids", "logits", "tokens", "pixels"):
        stored, got = getattr(golden, name), getattr(now, name)
        if len(stored) != len(got):
            raise BundleError(f"golden.json has {len(stored)} {name}, not {len(got)}; copy the bundle again")
    expected = np.array(golden.logits)
    grid = np.array(golden.tokens, np.int64).reshape(1, pipeline.geometry.grid_height, pipeline.geometry.grid_width)
    corner = pipeline.decode(grid)[0, :_PIXELS, :_PIXELS].astype(np.int64).reshape(-1)
    return GoldenReport(
        same_ids=now.input_ids == golden.input_ids,
        logit_error=float(np.abs(np.array(now.logits) - expected).max() / np.abs(expected).max()),
        equal_tokens=float(np.mean(np.array(now.tokens) == np.array(golden.tokens))),
        pixel_error=int(np.abs(corner - np.array(golden.pixels)).max()),
        tolerance=golden.tolerance,
    )
