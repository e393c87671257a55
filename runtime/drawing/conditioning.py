"""From prompts to what the denoiser reads: text encoder and conditioner, each run once per prompt."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.bundle.manifest import Geometry, MicroConditioning
from amused_edge.runtime.drawing.remembered import Remembered
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.drawing.weighting import encode_text
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.tasks.embeddings import Prompt, PromptEmbeddings

Conditioning = dict[str, NDArray[Any]]
"""The conditioner's outputs by name; each starts with a batch axis."""


def rows_of(conditioning: Conditioning, guidance_scale: float) -> Conditioning:
    """Return the rows of [negative prompt, prompt] that a scale asks for: above 1 both, else the prompt's alone."""
    return conditioning if guidance_scale > 1.0 else {name: value[-1:] for name, value in conditioning.items()}


@dataclass(frozen=True, eq=False)
class Branches:
    """The conditioning of a denoiser's call.

    Attributes
    ----------
    values
        One batch row for each branch of guidance: [negative prompt, prompt], or the prompt alone.
    names
        Of each row, what tells it from all others of the same pipeline.
    """

    values: Conditioning
    names: tuple[Hashable, ...]

    def of(self, guidance_scale: float) -> "Branches":
        """Return those that a scale asks for: above 1 all, else the prompt alone."""
        if guidance_scale > 1.0:
            return self
        return Branches(rows_of(self.values, guidance_scale), self.names[-1:])


Use = Callable[[str], AbstractContextManager[Graph]]
"""Gives the graph of a role for the length of a block."""


def micro_conditions(geometry: Geometry, values: MicroConditioning) -> FloatArray:
    """Return the five micro-conditions of a picture, (5,) float32: width, height, crop top, crop left, aesthetic
    score.
    """
    return np.array(
        [
            geometry.image_width,
            geometry.image_height,
            values.crop_top,
            values.crop_left,
            values.aesthetic_score,
        ],
        dtype=np.float32,
    )


class PromptConditioner:
    """Turns prompts into conditioning, one prompt at a time so that none depends on its neighbours.

    Several threads may use it.

    Parameters
    ----------
    remembered
        How many conditionings are kept for prompts that come again.
    """

    def __init__(self, tokenizer: PromptTokenizer, use: Use, remembered: int) -> None:
        self._tokenizer = tokenizer
        self._use = use
        self._remembered = Remembered[Conditioning](remembered)

    def __call__(
        self, prompts: Sequence[Prompt], micro: FloatArray, cancellation: Cancellation | None = None
    ) -> list[Conditioning]:
        """Return the conditioning of each prompt, batch 1.

        Parameters
        ----------
        micro
            (5,) float32, see `micro_conditions`.
        """
        keys = [self._key(prompt, micro) for prompt in prompts]
        found = {key: value for key in keys if (value := self._remembered.get(key)) is not None}
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in found}
        encoded = self._encode(missing, cancellation)
        if encoded:
            with self._use("conditioner") as conditioner:
                for key, text in encoded.items():
                    made = call(conditioner, {**text, "micro_conditions": micro[None]}, cancellation)
                    found[key] = self._remembered.put(key, made)
        return [found[key] for key in keys]

    def branches(
        self, prompts: Sequence[Prompt], micro: FloatArray, cancellation: Cancellation | None = None
    ) -> Branches:
        """Return the conditioning of the prompts of one call of the denoiser."""
        parts = self(prompts, micro, cancellation)
        return Branches(stack(parts), tuple(self._key(prompt, micro) for prompt in prompts))

    def close(self) -> None:
        """Drop what is remembered, and remember nothing more."""
        self._remembered.close()

    @staticmethod
    def _key(prompt: Prompt, micro: FloatArray) -> tuple[str, bytes]:
        return _name(prompt), micro.tobytes()

    def _encode(
        self, prompts: dict[tuple[str, bytes], Prompt], cancellation: Cancellation | None
    ) -> dict[tuple[str, bytes], dict[str, NDArray[Any]]]:
        """Return what the text encoder says of each prompt, or what was given in its place."""
        encoded = {
            key: {"hidden_states": prompt.hidden_states[None], "pooled": prompt.pooled[None]}
            for key, prompt in prompts.items()
            if isinstance(prompt, PromptEmbeddings)
        }
        texts = {key: prompt for key, prompt in prompts.items() if not isinstance(prompt, PromptEmbeddings)}
        if texts:
            with self._use("text_encoder") as encoder:
                for key, text in texts.items():
                    encoded[key] = encode_text(encoder, self._tokenizer, text, cancellation)
        return encoded


def _name(prompt: Prompt) -> str:
    """Return what tells prompts apart; no text is mistaken for embeddings, nor for one with weights."""
    if isinstance(prompt, PromptEmbeddings):
        return f"embeddings {prompt.sha256}"
    return f"text {prompt}" if isinstance(prompt, str) else f"weighted {prompt}"


def stack(parts: Sequence[Conditioning]) -> Conditioning:
    """Concatenate conditionings along the batch axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
