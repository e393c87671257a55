"""A bundle's golden input and output: a few numbers, stored when it was made, that show that an engine computes it
rightly.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from amused_edge.runtime.errors import BundleError
from amused_edge.runtime.json_fields import Fields
from amused_edge.runtime.options import GenerationOptions
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampler import IntArray
from amused_edge.runtime.tasks import TextToImage

if TYPE_CHECKING:
    from amused_edge.runtime.pipeline import AmusedPipeline

GOLDEN_PROMPT = "a red fox on a blue background"


@dataclass(frozen=True)
class Tolerance:
    """How far an engine may be from the golden output.

    Attributes
    ----------
    logits
        Largest |difference| relative to the largest |logit|.
    pixels
        Largest difference, of 255.
    """

    logits: float = 1e-3
    pixels: int = 1


_LOGITS = 16
_PIXELS = 4


@dataclass(frozen=True)
class Golden:
    """What the graphs give for `prompt` with seed 0 and the bundle's own settings.

    Attributes
    ----------
    input_ids
        All ids of the prompt.
    logits
        Of the first step without guidance (all tokens masked): the first codes of the grid's first token.
    tokens
        The finished grid, row by row.
    pixels
        The picture's top left corner, row by row, channels last.
    tolerance
        Engines add in other orders, and some compute in more bits than a quantized bundle asks for.
    """

    prompt: str
    input_ids: list[int]
    logits: list[float]
    tokens: list[int]
    pixels: list[int]
    tolerance: Tolerance

    def to_json(self) -> str:
        """Return the text of `golden.json`."""
        return json.dumps(asdict(self), indent=None, ensure_ascii=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Golden":
        """Parse `golden.json`; raises `BundleError` if it is damaged."""
        try:
            fields = Fields(json.loads(text), "golden.json")
        except (ValueError, RecursionError) as error:
            raise BundleError(f"golden.json is not JSON ({error}); copy the bundle again") from error
        tolerance = fields.child("tolerance")
        return Golden(
            fields.get("prompt", str),
            fields.values("input_ids", int),
            fields.values("logits", float),
            fields.values("tokens", int),
            fields.values("pixels", int),
            Tolerance(tolerance.get("logits", float), tolerance.get("pixels", int)),
        )


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
