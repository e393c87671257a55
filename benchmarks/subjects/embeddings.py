"""Prompt embeddings in a file, so that bundles and peers start from the very same ones."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.pipeline import AmusedPipeline

Encoded = dict[str, NDArray[Any]]
"""`hidden_states` (1, 77, E) and `pooled` (1, P), float32."""


class Embeddings:
    """What a text encoder gave for some prompts, the empty one among them."""

    def __init__(self, prompts: Sequence[str], hidden_states: NDArray[Any], pooled: NDArray[Any]) -> None:
        self._places = {prompt: index for index, prompt in enumerate(prompts)}
        self._hidden_states = hidden_states
        self._pooled = pooled

    def __getitem__(self, prompt: str) -> Encoded:
        if prompt not in self._places:
            raise OptionsError(f"there are no embeddings of the prompt {quoted(prompt)}; make them again with it")
        place = slice(self._places[prompt], self._places[prompt] + 1)
        return {"hidden_states": self._hidden_states[place], "pooled": self._pooled[place]}

    @staticmethod
    def read(path: Path) -> "Embeddings":
        """Read a file that `write_embeddings` wrote."""
        try:
            with np.load(path, allow_pickle=False) as arrays:  # TypeError: a bare array
                prompts = [bytes(text).decode() for text in np.split(arrays["text"], arrays["ends"][:-1])]
                return Embeddings(prompts, arrays["hidden_states"], arrays["pooled"])
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise OptionsError(f"{path} holds no prompt embeddings: {error}") from error


def write_embeddings(path: Path, pipeline: AmusedPipeline, prompts: Sequence[str]) -> None:
    """Encode prompts, and the empty one, with a bundle's text encoder and write them (`.npz`)."""
    texts = list(dict.fromkeys(["", *prompts]))
    encoder = pipeline.graph("text_encoder")
    rows = [encoder({"input_ids": pipeline.tokenizer([text])}) for text in texts]
    codes = [text.encode() for text in texts]
    hidden_states, pooled = (np.concatenate([row[name] for row in rows]) for name in ("hidden_states", "pooled"))
    text, ends = np.frombuffer(b"".join(codes), np.uint8), np.cumsum([len(code) for code in codes])
    np.savez(path, text=text, ends=ends, hidden_states=hidden_states, pooled=pooled)
