"""What the text encoder says of a prompt, with its weights.

The weights are applied as ComfyUI does (`comfy/sd1_clip.py`, `ClipTokenWeightEncoder`): a token's hidden state moves
along the line from that of the empty prompt at the same place, and the pooled vector stays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.engines import Graph, call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.tasks.weights import PromptWeights


def encode_text(
    encoder: Graph, tokenizer: PromptTokenizer, prompt: str | PromptWeights, cancellation: Cancellation | None = None
) -> dict[str, NDArray[Any]]:
    """Return hidden states (1, N, E) and the pooled vector (1, P); where all weights are 1, the encoder's own."""
    if isinstance(prompt, str):
        return call(encoder, {"input_ids": tokenizer([prompt])}, cancellation)
    ids, weights = tokenizer.weighted(prompt)
    encoded = call(encoder, {"input_ids": ids}, cancellation)
    if (weights == 1.0).all():
        return encoded
    empty = call(encoder, {"input_ids": tokenizer([""])}, cancellation)
    return {**encoded, "hidden_states": weigh(encoded["hidden_states"], empty["hidden_states"], weights)}


def weigh(states: FloatArray, empty: FloatArray, weights: FloatArray) -> FloatArray:
    """Return `empty + weight * (states - empty)`; tokens of weight 1 stay as they are to the last bit.

    Parameters
    ----------
    states, empty
        (B, N, E) float32: of the prompt, and of the empty one.
    weights
        (N,) float32.
    """
    column = weights[:, None]
    weighted: FloatArray = np.where(column == 1.0, states, empty + column * (states - empty))
    return weighted
