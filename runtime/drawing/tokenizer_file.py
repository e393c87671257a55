"""What a `tokenizer.json` may say: CLIP's byte-pair encoding, with a vocabulary of its own.

The library that encodes does whatever a file tells it: it writes a million letters in the place of one, pads to a
billion ids, or leaves merges out by chance. So what is not CLIP's is refused before the library sees it.
"""

import json
from pathlib import Path
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import BundleError, as_refusal, quoted

_AGAIN = "export the bundle again"

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

_MODEL = {
    "type": "BPE",
    "dropout": None,
    "continuing_subword_prefix": "",
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
    if not _pads_and_truncates(fields, length):
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
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quoted(twice)} is there twice")
    return content


def _pads_and_truncates(fields: Fields, length: int) -> bool:
    padding, truncation = (fields.raw(name) if name in fields else None for name in ("padding", "truncation"))
    return _says(padding, {"strategy": {"Fixed": length}, "direction": "Right", "pad_to_multiple_of": None}) and _says(
        truncation, {"max_length": length, "direction": "Right", "stride": 0}
    )


def _is_clip(fields: Fields) -> bool:
    decoder = fields.raw("decoder") if "decoder" in fields else None  # which no one asks, and the library prepares
    return (
        fields.raw("normalizer") == _NORMALIZER
        and fields.raw("pre_tokenizer") in _PRE_TOKENIZERS
        and _says(fields.raw("post_processor"), {"type": "RobertaProcessing"})
        and (decoder is None or _says(decoder, {"type": "ByteLevel"}))
        and _says(fields.raw("model"), _MODEL)
    )


def _says(given: object, expected: dict[str, Any]) -> bool:
    """Say whether a part of the file has these values; those that it leaves out are the library's own."""
    return isinstance(given, dict) and all(given.get(name, value) == value for name, value in expected.items())
