"""A prompt that the caller has encoded."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.tasks.weights import PromptWeights


@dataclass(frozen=True, eq=False)
class PromptEmbeddings:
    """What the text encoder returns for one prompt, given in its place.

    Attributes
    ----------
    hidden_states
        (text length, E) float32: the last layer but one.
    pooled
        (P,) float32: the projected text embedding.
    """

    hidden_states: FloatArray
    pooled: FloatArray

    def __post_init__(self) -> None:
        for name, axes in (("hidden_states", 2), ("pooled", 1)):
            try:
                value = np.array(getattr(self, name), np.float32)  # a copy, which nobody changes
            except (TypeError, ValueError, OverflowError) as error:
                raise OptionsError(f"{name} of prompt embeddings are no numbers: {error}") from error
            if value.ndim != axes or not value.size:
                raise OptionsError(f"{name} of prompt embeddings have shape {list(value.shape)}; give {axes} axes")
            if not np.isfinite(value).all():
                raise OptionsError(f"{name} of prompt embeddings hold NaN or infinity; encode the prompt again")
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @cached_property
    def sha256(self) -> str:
        """Hash of the values."""
        return hashlib.sha256(self.hidden_states.tobytes() + self.pooled.tobytes()).hexdigest()


Prompt = str | PromptWeights | PromptEmbeddings
