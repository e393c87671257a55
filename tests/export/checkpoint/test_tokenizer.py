"""Token ids of a bundle beside transformers' own fast CLIP tokenizer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPTokenizerFast

from amused_edge.conformance.sets.strings import odd_strings
from amused_edge.export.checkpoint.tokenizer import read_tokenizer
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import TextConfig
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.errors import OptionsError
from tests.support.files import read_json
from tests.support.paths import DEMO_CHECKPOINT

LENGTH = 77
TEXT = TextConfig(vocab_size=1114)


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
