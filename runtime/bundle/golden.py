"""A bundle's golden input and output as stored: a few numbers that show whether an engine computes it rightly."""

import json
from dataclasses import asdict, dataclass

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import BundleError

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
