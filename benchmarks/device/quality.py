"""What a device's logits and tokens are worth: its own are held against a reference bundle's on the device's states."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from amused_edge.benchmarks.device.fields import finite, only, text, whole
from amused_edge.benchmarks.subjects.teacher_forcing import LogitMeter, State
from amused_edge.runtime import AmusedPipeline, GenerationOptions
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms

MOST_STATES = 32
ADVICE = "send it as the guide says"


@dataclass(frozen=True)
class Quality:
    """One bundle on one device, against the reference.

    Attributes
    ----------
    rows
        Masked positions that were compared, over all states.
    mean_kl, top1, equal_draws
        Of `LogitFidelity`, over those.
    equal_tokens
        Share of the finished picture's tokens that are the reference's, of the same seed.
    """

    label: str
    rows: int
    mean_kl: float
    top1: float
    equal_draws: float
    equal_tokens: float


def read_quality(fields: Fields) -> Quality:
    """Read one of `quality` in a file."""
    only(fields, "quality", frozenset({"label", "rows", "mean_kl", "top1", "equal_draws", "equal_tokens"}))
    shares = {name: finite(fields, name) for name in ("mean_kl", "top1", "equal_draws", "equal_tokens")}
    return Quality(text(fields, "label"), whole(fields, "rows", 1), **shares)


class Scales:
    """Weighs what devices send against a reference bundle.

    Parameters
    ----------
    reference
        Opened; who made it closes it.
    prompt, settings, seed
        Of the picture that all draw; the first picture of its prompt.
    """

    def __init__(self, reference: AmusedPipeline, prompt: str, settings: SamplerSettings, seed: int) -> None:
        self._geometry, self._seed = reference.geometry, seed
        self._reference, self._settings = reference, settings
        self._conditioning = reference.condition(["", prompt] if settings.guided else [prompt])
        self._tokens = reference.generate(prompt, GenerationOptions(seed, **vars(settings))).tokens[0]

    def weigh(self, sent: object) -> Quality:
        """Return the quality of one bundle on a device.

        Parameters
        ----------
        sent
            JSON: `label`; `tokens`, the finished grid; `states`, each with `step` (from 0), `tokens` before it, `rows`
            (masked positions in it) and `logits`: the guided ones of those rows, (M, V) little-endian float32, base64.

        Raises
        ------
        OptionsError
            It is anything else.
        """
        fields = Fields(sent, "quality", ADVICE, OptionsError)
        only(fields, "quality", frozenset({"label", "tokens", "states"}))
        finished = _grid(fields.raw("tokens"), self._geometry, self._geometry.codebook_size)
        states = fields.items("states", lambda each: each)
        if not 1 <= len(states) <= MOST_STATES:
            raise OptionsError(f"quality has {len(states)} states; send 1 to {MOST_STATES}")
        meter = LogitMeter()
        for each in states:
            state, logits = self._state(each)
            scale = self._settings.guidance_at(state.step)
            exact = self._reference.guided_logits(state.tokens, state.rows, self._conditioning, scale)
            meter.add(exact, logits, state)
        found = meter.result()
        equal = float(np.mean(finished == self._tokens))
        return Quality(text(fields, "label"), found.rows, found.mean_kl, found.top1, found.equal_draws, equal)

    def _state(self, fields: Fields) -> tuple[State, FloatArray]:
        only(fields, "a state", frozenset({"step", "tokens", "rows", "logits"}))
        geometry = self._geometry
        step, mask = whole(fields, "step", 0), geometry.mask_token_id
        tokens = _grid(fields.raw("tokens"), geometry, mask + 1)
        listed = fields.values("rows", int)
        if not listed or len(set(listed)) != len(listed) or not all(0 <= row < tokens.size for row in listed):
            raise OptionsError("a state's rows are none, repeated, or outside the grid")
        rows = np.asarray(listed, np.int64)
        if (tokens.reshape(-1)[rows] != mask).any():
            raise OptionsError("a state has rows that are not masked in its tokens")
        logits = _floats(fields.get("logits", str), (rows.size, geometry.codebook_size))
        table = uniforms(
            tokens.size * geometry.codebook_size, seed=self._seed, picture=0, step=step, purpose=Purpose.TOKENS
        )
        noise = table.reshape(tokens.size, -1)[rows]
        return State(step, tokens, rows, {}, noise, tokens), logits


def _grid(value: Any, geometry: Geometry, limit: int) -> IntArray:
    """Return tokens (h, w) that are below a limit."""
    wanted = (geometry.grid_height, geometry.grid_width)
    rows = value if isinstance(value, list) and all(isinstance(row, list) for row in value) else []
    if (len(rows), *{len(row) for row in rows}) != wanted or any(
        type(token) is not int for row in rows for token in row
    ):
        raise OptionsError(f"tokens are no grid of {wanted[0]} rows and {wanted[1]} columns of whole numbers")
    if not all(0 <= token < limit for row in rows for token in row):
        raise OptionsError(f"tokens are outside 0 to {limit - 1}")
    return np.asarray(rows, np.int64)


def _floats(encoded: str, shape: tuple[int, int]) -> FloatArray:
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OptionsError(f"logits are not base64: {error}") from error
    if len(content) != 4 * shape[0] * shape[1]:
        raise OptionsError(f"logits have {len(content)} bytes, not 4 for each of {shape[0]} x {shape[1]}")
    found: FloatArray = np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(found).all():
        raise OptionsError("logits hold values that are no numbers")
    return found


def split_quality(results: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Take what is to be weighed out of what a device sent; raises `OptionsError` if it is no list."""
    rest = dict(results)
    raw = rest.pop("quality", [])
    if not isinstance(raw, list):
        raise OptionsError("quality is not a list; " + ADVICE)
    return rest, raw
