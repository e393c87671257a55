"""Text to token ids: the checkpoint's CLIP byte-pair encoding, read from the bundle's `tokenizer.json`."""

from collections.abc import Sequence
from pathlib import Path
from warnings import warn

import numpy as np
from tokenizers import Tokenizer

from amused_edge.runtime.arrays import IntArray
from amused_edge.runtime.checks import check_text
from amused_edge.runtime.errors import AmusedEdgeWarning, BundleError, quoted
from amused_edge.runtime.system.library_paths import library_path


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
        The file is no tokenizer, or does not pad and truncate to `length`.
    """

    def __init__(self, path: Path, length: int) -> None:
        file = library_path(path)
        try:
            self._tokenizer = Tokenizer.from_file(file)
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"{path} is not a tokenizer: {error}; export the bundle again") from error
        padding, truncation = self._tokenizer.padding, self._tokenizer.truncation
        if not padding or not truncation or {padding["length"], truncation["max_length"]} != {length}:
            raise BundleError(f"{path} does not pad and truncate to {length} ids; export the bundle again")

    def __call__(self, prompts: Sequence[str]) -> IntArray:
        """Return the ids of each prompt, (B, length) int64: start token, text cut to fit, end token, padding."""
        for prompt in prompts:
            check_text(prompt)
        encodings = self._tokenizer.encode_batch(list(prompts))
        for prompt, encoding in zip(prompts, encodings, strict=True):
            if encoding.overflowing:
                cut = prompt[max(end for _, end in encoding.offsets) :].strip()
                warn(
                    f"the text encoder reads {len(encoding.ids)} tokens; cut off: {quoted(cut)}",
                    AmusedEdgeWarning,
                    stacklevel=2,
                )
        return np.array([encoding.ids for encoding in encodings], dtype=np.int64)
