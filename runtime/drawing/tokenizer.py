"""Text to token ids: the checkpoint's CLIP byte-pair encoding, read from the bundle's `tokenizer.json`."""

from collections.abc import Sequence
from pathlib import Path
from warnings import warn

import numpy as np
from tokenizers import Encoding, Tokenizer

from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.checks import check_text
from amused_edge.runtime.drawing.tokenizer_file import read_tokenizer_file
from amused_edge.runtime.errors import AmusedEdgeWarning, BundleError, as_refusal, quoted
from amused_edge.runtime.tasks.weights import PromptWeights


class PromptTokenizer:
    """Reads `tokenizer.json`, which carries its padding and truncation with it.

    Parameters
    ----------
    path
        The file.
    length
        Ids per prompt that the text encoder takes (77 for CLIP).

    Raises
    ------
    BundleError
        The file is no CLIP tokenizer, or does not pad and truncate to `length`.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._length = length
        text = read_tokenizer_file(path, length)
        with as_refusal(BundleError, f"{path} is not a tokenizer: ", "; export the bundle again"):
            self._tokenizer = Tokenizer.from_str(text)

    def __call__(self, prompts: Sequence[str]) -> IntArray:
        """Return the ids of each prompt, (B, length) int64: start token, text cut to fit, end token, padding."""
        return np.array([encoding.ids for encoding in self._encode(prompts)], dtype=np.int64)

    def weighted(self, prompt: PromptWeights) -> tuple[IntArray, FloatArray]:
        """Return the ids of a prompt without its notation, (1, length) int64, and the weight of each, (length,)
        float32: that of the letter that it begins with, and 1 of start, end and padding.
        """
        (encoding,) = self._encode([prompt.plain])
        weights = [
            1.0 if special else prompt.at(begin)
            for (begin, _), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        ]
        return np.array([encoding.ids], np.int64), np.array(weights, np.float32)

    def _encode(self, prompts: Sequence[str]) -> list[Encoding]:
        """Encode prompts; warns where one is cut."""
        for prompt in prompts:
            check_text(prompt)
        with as_refusal(BundleError, "the bundle's tokenizer cannot read the prompt: ", "; export the bundle again"):
            encodings: list[Encoding] = self._tokenizer.encode_batch(list(prompts))
        for prompt, encoding in zip(prompts, encodings, strict=True):
            if len(encoding.ids) != self._length:
                raise BundleError(
                    f"the bundle's tokenizer gives {len(encoding.ids)} ids, not {self._length}; export the bundle again"
                )
            if encoding.overflowing:
                cut = prompt[max(end for _, end in encoding.offsets) :].strip()
                warn(
                    f"the text encoder reads {len(encoding.ids)} tokens; cut off: {quoted(cut)}",
                    AmusedEdgeWarning,
                    stacklevel=3,
                )
        return encodings
