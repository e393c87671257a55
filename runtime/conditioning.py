"""From prompts to what the denoiser reads: text encoder and conditioner, each run once per prompt."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.cancellation import Cancellation
from amused_edge.runtime.embeddings import Prompt, PromptEmbeddings
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.manifest import Geometry, MicroConditioning
from amused_edge.runtime.sampler import FloatArray
from amused_edge.runtime.tokenizer import PromptTokenizer

Conditioning = dict[str, NDArray[Any]]
"""The conditioner's outputs by name; each starts with a batch axis."""

Use = Callable[[str], AbstractContextManager[Graph]]
"""Gives the graph of a role for the length of a block."""


def micro_conditions(geometry: Geometry, values: MicroConditioning) -> FloatArray:
    """Return the five micro-conditions of a picture, (5,) float32: width, height, crop top, crop left, aesthetic
    score; raises `OptionsError` where one is no finite number.
    """
    numbers = [
        geometry.image_width,
        geometry.image_height,
        values.crop_top,
        values.crop_left,
        values.aesthetic_score,
    ]
    try:
        conditions = np.array(numbers, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise OptionsError(f"micro-conditioning {values} holds what is no number") from error
    if not np.isfinite(conditions).all():
        raise OptionsError(f"micro-conditioning {values} holds what is not finite")
    return conditions


class PromptConditioner:
    """Turns prompts into conditioning, one prompt at a time so that none depends on its neighbours.

    Several threads may use it.

    Parameters
    ----------
    remembered
        How many conditionings are kept for prompts that come again.
    """

    def __init__(self, tokenizer: PromptTokenizer, use: Use, remembered: int) -> None:
        self._capacity = remembered
        self._tokenizer = tokenizer
        self._use = use
        self._remembered: OrderedDict[tuple[str, bytes], Conditioning] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self, prompts: Sequence[Prompt], micro: FloatArray, cancellation: Cancellation | None = None
    ) -> list[Conditioning]:
        """Return the conditioning of each prompt, batch 1.

        Parameters
        ----------
        micro
            (5,) float32, see `micro_conditions`.
        """
        keys = [(_name(prompt), micro.tobytes()) for prompt in prompts]
        found = {key: value for key in keys if (value := self._recall(key)) is not None}
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in found}
        encoded = self._encode(missing, cancellation)
        if encoded:
            with self._use("conditioner") as conditioner:
                for key, text in encoded.items():
                    found[key] = call(conditioner, {**text, "micro_conditions": micro[None]}, cancellation)
                    self._remember(key, found[key])
        return [found[key] for key in keys]

    def _encode(
        self, prompts: dict[tuple[str, bytes], Prompt], cancellation: Cancellation | None
    ) -> dict[tuple[str, bytes], dict[str, NDArray[Any]]]:
        """Return what the text encoder says of each prompt, or what was given in its place."""
        encoded = {
            key: {"hidden_states": prompt.hidden_states[None], "pooled": prompt.pooled[None]}
            for key, prompt in prompts.items()
            if isinstance(prompt, PromptEmbeddings)
        }
        texts = {key: prompt for key, prompt in prompts.items() if isinstance(prompt, str)}
        if texts:
            with self._use("text_encoder") as encoder:
                for key, text in texts.items():
                    encoded[key] = call(encoder, {"input_ids": self._tokenizer([text])}, cancellation)
        return encoded

    def _recall(self, key: tuple[str, bytes]) -> Conditioning | None:
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
            return self._remembered.get(key)

    def _remember(self, key: tuple[str, bytes], value: Conditioning) -> None:
        with self._lock:
            self._remembered[key] = value
            self._remembered.move_to_end(key)
            while len(self._remembered) > self._capacity:
                self._remembered.popitem(last=False)


def _name(prompt: Prompt) -> str:
    """Return what tells prompts apart; no text is mistaken for embeddings."""
    return f"text {prompt}" if isinstance(prompt, str) else f"embeddings {prompt.sha256}"


def stack(parts: Sequence[Conditioning]) -> Conditioning:
    """Concatenate conditionings along the batch axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
