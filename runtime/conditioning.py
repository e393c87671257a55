"""From prompts to what the denoiser reads: text encoder and conditioner, each run once per prompt."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.engines import Graph
from amused_edge.runtime.manifest import Geometry, MicroConditioning
from amused_edge.runtime.sampler import FloatArray
from amused_edge.runtime.tokenizer import PromptTokenizer

Conditioning = dict[str, NDArray[Any]]
"""The conditioner's outputs by name; each starts with a batch axis."""


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

    Parameters
    ----------
    graph
        Gives the graph of a role, loading it at first use.
    micro
        (5,) float32, see `micro_conditions`.
    """

    def __init__(self, tokenizer: PromptTokenizer, graph: Callable[[str], Graph], micro: FloatArray) -> None:
        self._tokenizer = tokenizer
        self._graph = graph
        self._micro = micro

    def __call__(self, prompt: str) -> Conditioning:
        """Return the conditioning of one prompt, batch 1."""
        encoded = self._graph("text_encoder")({"input_ids": self._tokenizer([prompt])})
        return self._graph("conditioner")({**encoded, "micro_conditions": self._micro[None]})

    def branches(self, prompt: str, negative_prompt: str, guided: bool) -> Conditioning:
        """Return the denoiser's conditioning: [unconditional, conditional] with guidance, else the prompt alone."""
        if not guided:
            return self(prompt)
        return stack([self(negative_prompt), self(prompt)])


def stack(parts: Sequence[Conditioning]) -> Conditioning:
    """Concatenate conditionings along the batch axis."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
