"""Ids of prompts by the demo's tokenizer, and by others that differ from it in what published ones differ in."""

import copy
import json
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from amused_edge.conformance.edits import put
from amused_edge.conformance.sets.strings import odd_strings
from amused_edge.conformance.vector_set import Values, VectorSet
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.errors import AmusedEdgeWarning

_LENGTH = 77

_MORE = [
    "a photo of a cat",
    "it’s “quoted” – and … ellipsis",
    "&amp; &lt;|endoftext|&gt;",
    "fox<|startoftext|><|endoftext|><|endoftext|>",
    "<|end<|endoftext|>oftext|>",
    "x<|endoftext|>y <|endoftext|> z  <|endoftext|>  ",
    "<|EndOfText|> <|endoftext|",
    "!<|EndOfText|>",
    "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ",
    "İSTANBUL Iğdır",
    "'ſ 'S 'LL 're'VE",
    "a\u0345b",
    "\u0085 \u2028line\u2029paragraph\u180e\u200b\u2060",
    "\u1680\u2000\u200a\u202f\u205f\u3000white",
    "\x1c\x1d\x1e\x1fseparators",
    "½²³¹⁰①Ⅻⅻ٣४",
    "fox 's fox's foxes' o'clock",
    "\U0001f1e9\U0001f1ea\U0001f3f4\U000e0067\U000e007f",
    "한국어 \u1100\u1161\u11a8 \uac00\u11a8",
    "\u0958\u09dc\u2126\u212b\u1e9b\u0323",
    "_snake_case_ __init__ C++ C# $5.00 50% a/b @home #tag ~",
    "\u00ad soft\u00adhyphen \u200e\u200f",
    "word " * 200,
    "fox <|endoftext|> " * 60,
    "🦊" * 90,
    "a" * 76 + " b",
    " ".join(str(number) for number in range(200)),
]

_FEW = [
    "a red fox on a blue background",
    "",
    " ",
    "!",
    "wow! a fox !",
    "a <|endoftext|> fox",
    "a<|endoftext|>fox",
    "a  <|endoftext|>  fox",
    "\t<|startoftext|>\n fox <|endoftext|>",
    "<|EndOfText|> fox",
    "fox <|endoftext|>s",
    "word " * 100,
    "a fox in the <glade> style",
    "<glade>",
    "foxes<glade>s <GLADE>",
]

_TOKEN = {
    "id": 1114,
    "content": "<glade>",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}


def _edit(*path: str | int, value: Any) -> Values:
    return {"path": list(path), "value": value}


_PAD = {**_TOKEN, "id": 0, "content": "!"}

_VARIANTS: list[list[Values]] = [
    [
        _edit("padding", "pad_id", value=0),
        _edit("padding", "pad_token", value="!"),
        _edit("added_tokens", 2, value=_PAD),
    ],
    [_edit("padding", "strategy", "Fixed", value=16), _edit("truncation", "max_length", value=16)],
    [_edit("added_tokens", 1, "lstrip", value=True)],
    [_edit("added_tokens", 1, "rstrip", value=True)],
    [_edit("added_tokens", token, side, value=True) for token in (0, 1) for side in ("lstrip", "rstrip")],
    [_edit("added_tokens", 1, "normalized", value=False)],
    [_edit("added_tokens", 1, "single_word", value=True)],
    [_edit("added_tokens", 2, value=_TOKEN)],
    [_edit("added_tokens", 2, value={**_TOKEN, "normalized": True, "special": False, "lstrip": True})],
]


def _edited(content: Any, edits: list[Values]) -> Any:
    """Return a copy of a JSON value with other values at some paths."""
    content = copy.deepcopy(content)
    for edit in edits:
        put(content, edit["path"], edit["value"])
    return content


def _given() -> list[Values]:
    texts = dict.fromkeys([*odd_strings(), *_MORE])
    plain = [{"edits": [], "length": _LENGTH, "text": text} for text in texts]
    return plain + [
        {"edits": edits, "length": 16 if edits[0]["value"] == 16 else _LENGTH, "text": text}
        for edits in _VARIANTS
        for text in _FEW
    ]


def tokenizer_sets(bundle: Path) -> tuple[VectorSet, ...]:
    """Return the sets over the tokenizer of the demo's bundle."""
    demo = json.loads((bundle / "tokenizer.json").read_text(encoding="utf-8"))

    @lru_cache(maxsize=1)
    def tokenizer(edits: str, length: int) -> tuple[PromptTokenizer, int]:
        content = _edited(demo, json.loads(edits))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "tokenizer.json")
            path.write_text(json.dumps(content), encoding="utf-8")
            return PromptTokenizer(path, length), content["padding"]["pad_id"]

    def answer(given: Values) -> Values:
        encode, pad = tokenizer(json.dumps(given["edits"]), given["length"])
        with warnings.catch_warnings(record=True) as cut:
            warnings.simplefilter("always", AmusedEdgeWarning)
            ids = encode([given["text"]])[0].tolist()
        return {"ids": _without_padding(ids, pad), "pad_id": pad, "cut": bool(cut)}

    return (
        VectorSet(
            "tokenizer-ids",
            "Ids of a prompt by demo/bundle/tokenizer.json with some edits; pad_id fills up to `length`.",
            _given,
            answer,
        ),
    )


def _without_padding(ids: list[int], pad: int) -> list[int]:
    """Leave out all but the first of the pad ids at the end."""
    while len(ids) > 1 and ids[-2:] == [pad, pad]:
        ids = ids[:-1]
    return ids
