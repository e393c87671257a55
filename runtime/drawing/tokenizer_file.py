"""What a `tokenizer.json` may say: CLIP's byte-pair encoding, with a vocabulary of its own.

The library that encodes does whatever a file tells it: it writes a million letters in the place of one, pads to a
billion ids, or leaves merges out by chance. So what is not CLIP's is refused before the library sees it.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import BundleError, as_refusal, quoted

_AGAIN = "export the bundle again"

_PADDING = {"direction": "Right", "pad_to_multiple_of": None}
_TRUNCATION = {"direction": "Right", "strategy": "LongestFirst", "stride": 0}

_NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Lowercase"},
    ],
}

_TOKENS = r"<\|startoftext\|>|<\|endoftext\|>|"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes for a word, as files write it; in those of newer versions two tokens stand before it."""

_SPLIT = {"type": "Split", "behavior": "Removed", "invert": True}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_PRE_TOKENIZERS = tuple(
    {"type": "Sequence", "pretokenizers": [{**_SPLIT, "pattern": {"Regex": pattern}}, _BYTES]}
    for pattern in (_TOKENS + _WORDS, _WORDS)
)

_POST_PROCESSOR, _DECODER = {"type": "RobertaProcessing"}, {"type": "ByteLevel"}
_MODEL = {
    "type": "BPE",
    "dropout": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "</w>",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


def read_tokenizer_file(path: Path, length: int) -> str:
    """Return the text of a `tokenizer.json` that says what CLIP's does, and pads and truncates to `length`.

    Raises
    ------
    BundleError
        It cannot be read, is no JSON, or says something else.
    """
    with as_refusal(BundleError, f"{path} is not a tokenizer: ", f"; {_AGAIN}"):
        text = path.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=_once)
    fields = Fields(content, str(path), _AGAIN)
    if not (
        _says(fields.raw("padding"), {**_PADDING, "strategy": {"Fixed": length}}, "pad_id", "pad_type_id", "pad_token")
        and _says(fields.raw("truncation"), {**_TRUNCATION, "max_length": length})
    ):
        raise BundleError(f"{path} does not pad and truncate to {length} ids; {_AGAIN}")
    if not _is_clip(fields):
        raise BundleError(f"{path} is no CLIP tokenizer, which this runtime alone reads; {_AGAIN}")
    model = fields.child("model")
    if model.get("unk_token", str) not in model.get("vocab", dict):
        raise BundleError(f"{path}: its unk_token is no token; {_AGAIN}")
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its fields; of two with one name, the library might read the other."""
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{quoted(twice)} is there twice")
    return content


def _is_clip(fields: Fields) -> bool:
    return (
        fields.raw("normalizer") == _NORMALIZER
        and fields.raw("pre_tokenizer") in _PRE_TOKENIZERS
        and _says(fields.raw("post_processor"), _POST_PROCESSOR, "sep", "cls", "trim_offsets", "add_prefix_space")
        and (
            fields.raw("decoder") is None  # which no one asks, and the library prepares
            or _says(fields.raw("decoder"), _DECODER, "add_prefix_space", "trim_offsets", "use_regex")
        )
        and _says(fields.raw("model"), _MODEL, "unk_token", "vocab", "merges")
    )


def _says(given: object, expected: dict[str, Any], *free: str) -> bool:
    """Say whether a part of the file has these values, whatever it says of those that are free, and nothing else.

    The library tells what a part is from its fields where they fit no other, whatever its type says.
    """
    return isinstance(given, dict) and {**given, **dict.fromkeys(free)} == {**expected, **dict.fromkeys(free)}
