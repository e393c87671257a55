"""Token ids of a bundle beside transformers' own fast CLIP tokenizer."""

import json
import random
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPTokenizerFast

from amused_edge.export.configs import TextConfig
from amused_edge.export.errors import CheckpointError
from amused_edge.export.tokenizer import read_tokenizer
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.tokenizer import PromptTokenizer
from tests.conftest import DEMO_CHECKPOINT, read_json

LENGTH = 77
TEXT = TextConfig(vocab_size=1114)

# name: (first, last) code point
BLOCKS = {
    "ascii": (0x20, 0x7E),
    "latin": (0xC0, 0x24F),
    "greek": (0x370, 0x3FF),
    "cyrillic": (0x400, 0x4FF),
    "hebrew": (0x590, 0x5FF),
    "arabic": (0x600, 0x6FF),
    "devanagari": (0x900, 0x97F),
    "thai": (0xE00, 0xE7F),
    "hangul": (0xAC00, 0xB000),
    "kana": (0x3040, 0x30FF),
    "cjk": (0x4E00, 0x9FFF),
    "cjk-b": (0x20000, 0x2A6DF),
    "punctuation": (0x2000, 0x206F),
    "maths": (0x1D400, 0x1D7FF),
    "emoji": (0x1F300, 0x1FAFF),
    "private": (0xE000, 0xE0FF),
    "tags": (0xE0000, 0xE007F),
    "controls": (0x00, 0x1F),
    "controls-1": (0x7F, 0x9F),
    "combining": (0x300, 0x36F),
    "fullwidth": (0xFF00, 0xFFEF),
    "last plane": (0x10FF00, 0x10FFFF),
}

HAND_PICKED = [
    "",
    " ",
    "   \t \n\r\f\v ",
    "\u00a0\u2003\u3000",
    "a red fox on a blue background",
    "A RED FOX, on a BLUE background!",
    "  leading and trailing  ",
    "double  space\tand\ttabs",
    "don't can't we'll they've I'm you're he'd it's",
    "DON'T 'S 'T",
    "1234567890 3.14 1e-6 0x1F",
    "hello,world;(really)[yes]{no}<ok>",
    "!!! ... ??? ---",
    "<|startoftext|>",
    "<|endoftext|>",
    "a <|endoftext|> fox",
    "<|startoftext|>fox<|endoftext|>",
    "< |endoftext| >",
    "<|ENDOFTEXT|>",
    "word " * 100,
    "x" * 500,
    "fox, " * 74,
    "a " * 75,
    "a " * 76,
    "é" * 200,
    "日本語のきつね",
    "红色的狐狸在蓝色背景上",
    "ثعلب أحمر على خلفية زرقاء",
    "จิ้งจอกสีแดงบนพื้นหลังสีน้ำเงิน",
    "שועל אדום",
    "파란 배경의 빨간 여우",
    "🦊",
    "👨‍👩‍👧‍👦 family",
    "🏳️‍🌈🏴‍☠️",
    "🇩🇪🇫🇷🇯🇵",
    "👋🏽 wave",
    "café naïve Ångström",
    unicodedata.normalize("NFD", "café naïve Ångström"),
    "ﬁne ligature",
    "ẞ ß İ ı",
    "Ⅷ ½ ²",
    "a\u0000b",
    "a\u200bb\u200dc\ufeffd",
    "\u202eright to left\u202c",
    "a\nb\r\nc",
    "\ufffd",
    "\U0010ffff",
    "ö" + "\u0308" * 50,
]


def odd_strings() -> list[str]:
    """The hand-picked strings and seeded random ones: one alphabet each, then mixtures."""
    rng = random.Random(0)
    strings = list(HAND_PICKED)
    for first, last in BLOCKS.values():
        for length in (1, 2, 3, 5, 8, 13, 40, 90):
            strings.append("".join(chr(rng.randint(first, last)) for _ in range(length)))
    for _ in range(120):
        parts = []
        for _ in range(rng.randint(1, 12)):
            first, last = rng.choice(list(BLOCKS.values()))
            parts.append("".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 6))))
        strings.append(rng.choice(["", " ", "  ", "<|endoftext|>"]).join(parts))
    strings += [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC") for text in HAND_PICKED[36:40]]
    return strings


def reference(folder: Path, prompts: list[str]) -> np.ndarray:
    tokenizer = CLIPTokenizerFast.from_pretrained(folder)
    encoded = tokenizer(prompts, padding="max_length", truncation=True, max_length=LENGTH)
    return np.array(encoded.input_ids)


@pytest.fixture(scope="module")
def tokenizer(demo_bundle: Path) -> PromptTokenizer:
    return PromptTokenizer(demo_bundle / "tokenizer.json", LENGTH)


def test_ids_are_those_of_transformers(tokenizer: PromptTokenizer) -> None:
    prompts = odd_strings()
    assert len(prompts) >= 300
    ours, theirs = tokenizer(prompts), reference(DEMO_CHECKPOINT / "tokenizer", prompts)
    assert ours.shape == (len(prompts), LENGTH)
    assert ours.dtype == np.int64
    assert [prompts[i] for i in np.flatnonzero((ours != theirs).any(1))] == []
    assert len({tuple(row) for row in ours.tolist()}) > 200


def test_a_prompt_does_not_depend_on_its_neighbours(tokenizer: PromptTokenizer) -> None:
    prompts = odd_strings()[::7]
    together = tokenizer(prompts)
    assert all(np.array_equal(tokenizer([prompt])[0], row) for prompt, row in zip(prompts, together, strict=True))


def test_the_empty_prompt_and_a_long_one(tokenizer: PromptTokenizer) -> None:
    empty, long = tokenizer(["", "word " * 100])
    start, end = 1112, 1113
    assert empty.tolist() == [start] + [end] * (LENGTH - 1)
    assert (long[0], long[-1]) == (start, end)
    assert end not in long[1:-1]


@pytest.mark.parametrize("prompt", ["\ud800", "fox \udfff", "\udc80 bytes that were no text"])
def test_a_lone_surrogate_is_refused(prompt: str, tokenizer: PromptTokenizer) -> None:
    with pytest.raises(OptionsError, match="not valid Unicode"):
        tokenizer(["a fox", prompt])


def test_another_pad_token_pads_with_its_id(tmp_path: Path) -> None:
    """Published tokenizers differ: "!" pads in one, the end token in another."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(DEMO_CHECKPOINT / "tokenizer", folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        content = {**read_json(folder / name), "pad_token": "!"}
        (folder / name).write_text(json.dumps(content))
    (tmp_path / "tokenizer.json").write_text(read_tokenizer(folder, TEXT).json, encoding="utf-8")
    prompts = ["a fox", "", "wow! a fox !"]
    ids = PromptTokenizer(tmp_path / "tokenizer.json", LENGTH)(prompts)
    assert ids[1].tolist() == [1112, 1113] + [0] * (LENGTH - 2)
    assert np.array_equal(ids, reference(folder, prompts))


@pytest.mark.parametrize("length", [16, 77])
def test_length_is_the_checkpoints(length: int, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEMO_CHECKPOINT / "tokenizer", tmp_path / "tokenizer"))
    config = {**read_json(folder / "tokenizer_config.json"), "model_max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text(read_tokenizer(folder, TEXT).json, encoding="utf-8")
    assert PromptTokenizer(tmp_path / "tokenizer.json", length)(["", "word " * 100]).shape == (2, length)


@pytest.mark.parametrize(
    "content",
    [None, {}, {"vocab.json": "{", "merges.txt": ""}, {"vocab.json": "[]"}],
    ids=str,
)
def test_a_folder_that_is_no_tokenizer_is_refused(content: dict[str, str] | None, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(CheckpointError, match=r"holds no CLIP tokenizer|has neither vocab\.json"):
        (tmp_path / "tokenizer.json").write_text(read_tokenizer(folder, TEXT).json, encoding="utf-8")
    assert not (tmp_path / "tokenizer.json").exists()
