"""Tokenizers as they come: the ids of transformers' CLIP tokenizer, or a refusal when the checkpoint is read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from amused_edge.conformance.sets.strings import odd_strings
from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.checkpoint.tokenizer import read_tokenizer
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.configs import TextConfig
from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from tests.support.files import read_json
from tests.support.oracles import relative
from tests.support.paths import DEMO_CHECKPOINT

Make = Callable[..., Path]
Edit = Callable[[Path], None]

RESIZED = TextConfig(vocab_size=1120)
"""A text encoder whose embedding has room for six more tokens than the demo's vocabulary."""

FLAGS = {"lstrip": False, "rstrip": False, "normalized": True, "single_word": False, "special": True}


def config(**values: Any) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "tokenizer_config.json"
        content = {name: value for name, value in {**read_json(path), **values}.items() if value != "absent"}
        path.write_text(json.dumps(content))

    return edit


def token(content: str, index: str = "1114", **flags: bool) -> Edit:
    known = read_json(DEMO_CHECKPOINT / "tokenizer" / "tokenizer_config.json")["added_tokens_decoder"]
    return config(added_tokens_decoder={**known, index: {**FLAGS, **flags, "content": content}})


def fast_file(edit: Callable[[dict[str, Any]], None]) -> Edit:
    """Write a `tokenizer.json` beside the other files, edited."""

    def write(folder: Path) -> None:
        content = json.loads(CLIPTokenizer.from_pretrained(folder).backend_tokenizer.to_str())
        edit(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return write


def only_the_fast_file(folder: Path) -> None:
    fast_file(lambda _: None)(folder)
    (folder / "vocab.json").unlink()
    (folder / "merges.txt").unlink()


def same_id(folder: Path) -> None:
    path = folder / "vocab.json"
    path.write_text(json.dumps({**read_json(path), "<|endoftext|>": 24}))


def no_config(folder: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()


def edited(tmp_path: Path, edit: Edit) -> Path:
    folder = Path(shutil.copytree(DEMO_CHECKPOINT / "tokenizer", tmp_path / "tokenizer"))
    edit(folder)
    return folder


def strings() -> list[str]:
    """Odd strings, some with the added token of these tests in several surroundings."""
    added = [
        "<new>",
        "a <new> fox",
        "a<new>fox",
        "  <new>  ",
        "<NEW> fox",
        "x<new>",
        "<new><new>",
        "caf\u00e9 <new>!",
        "!",
    ]
    return odd_strings() + added


READ: dict[str, Edit] = {
    "as it is": config(),
    "another pad token": config(pad_token="!"),
    "a new pad token": config(pad_token="<pad>"),
    "a new start token": config(bos_token="<s>"),
    "another unknown token": config(unk_token="!"),
    "added token": token("<new>"),
    "added token, lstrip": token("<new>", lstrip=True),
    "added token, rstrip": token("<new>", rstrip=True),
    "added token, as written": token("<new>", normalized=False),
    "added token, whole words": token("<new>", single_word=True),
    "added token, not special": token("<new>", special=False),
    "added token, with a gap": token("<new>", "1118"),
    "a token of the vocabulary, added": token("!", "0"),
    "more special tokens": config(additional_special_tokens=["<new>", "<other>"]),
    "clean up": config(clean_up_tokenization_spaces=True),
    "flags that CLIP's does not read": config(do_lower_case=False, add_prefix_space=True, add_eos_token=False),
    "another class": config(tokenizer_class="GPT2Tokenizer"),
    "shorter": config(model_max_length=20),
    "shortest": config(model_max_length=3),
    "old name of the length": config(model_max_length="absent", max_len=30),
    "no length": config(model_max_length="absent"),
    "length null": config(model_max_length=None),
    "no config": no_config,
    "a fast file that agrees": fast_file(lambda _: None),
    "a fast file with a length of its own": fast_file(
        lambda content: content.update(
            truncation={"max_length": 9, "stride": 2, "strategy": "LongestFirst", "direction": "Right"}
        )
    ),
    "only the fast file": only_the_fast_file,
}


@pytest.mark.filterwarnings("ignore:the text encoder reads")
@pytest.mark.parametrize("edit", READ.values(), ids=READ)
def test_ids_are_those_of_transformers(edit: Edit, tmp_path: Path) -> None:
    folder, prompts = edited(tmp_path, edit), strings()
    reference = CLIPTokenizer.from_pretrained(folder)
    length = min(reference.model_max_length, RESIZED.max_position_embeddings)
    expected = reference(prompts, padding="max_length", truncation=True, max_length=length).input_ids
    found = read_tokenizer(folder, RESIZED)
    (tmp_path / "tokenizer.json").write_text(found.json, encoding="utf-8")
    ids = PromptTokenizer(tmp_path / "tokenizer.json", found.length)(prompts)
    assert found.length == length
    assert len(prompts) > 300
    assert [prompts[i] for i in np.flatnonzero((ids != np.array(expected)).any(1))] == []


REFUSED: dict[str, tuple[Edit, str]] = {
    "padding left": (config(padding_side="left"), 'padding_side is "left"; .* can only do "right"'),
    "truncation left": (config(truncation_side="left"), 'truncation_side is "left"; .* can only do "right"'),
    "padding in the middle": (config(padding_side="middle"), "holds no CLIP tokenizer: Padding side should be"),
    "special tokens are text": (config(split_special_tokens=True), "split_special_tokens is true"),
    "pad null": (config(pad_token=None), r"pad_token is null; name the token, CLIP's is <\|endoftext\|>"),
    "start null": (config(bos_token=None), r"bos_token is null; name the token, CLIP's is <\|startoftext\|>"),
    "end null": (config(eos_token=None), "eos_token is null"),
    "unknown null": (config(unk_token=None), "unk_token is null"),
    "unknown is no token": (config(unk_token="<unk>"), "the unk_token '<unk>' is not in the vocabulary"),
    "two tokens of one id": (same_id, r"gives the id 24 to '9' and to '<\|endoftext\|>'"),
    "no merges": (lambda folder: (folder / "merges.txt").unlink(), "holds no CLIP tokenizer"),
    "longer than the text encoder": (config(model_max_length=78), "model_max_length is 78; .* from 3 to .* 77"),
    "much longer": (config(model_max_length=512), "model_max_length is 512"),
    "no room": (config(model_max_length=2), "model_max_length is 2"),
    "nothing": (config(model_max_length=0), "model_max_length is 0"),
    "negative": (config(model_max_length=-1), "model_max_length is -1"),
    "length as text": (config(model_max_length="77"), "model_max_length is '77'"),
    "a config that is none": (
        lambda folder: (folder / "tokenizer_config.json").write_text("["),
        r"cannot read .*tokenizer_config\.json",
    ),
    "other merges": (
        fast_file(lambda content: content["model"].update(merges=content["model"]["merges"][:100])),
        r"tokenizer\.json gives other ids than vocab\.json and merges\.txt",
    ),
    "other ids": (
        fast_file(lambda content: content["model"]["vocab"].update({"a": 1, '"': 64})),
        r"tokenizer\.json gives other ids than vocab\.json and merges\.txt",
    ),
    "a fast file that is none": (
        fast_file(lambda content: content.update(model=[])),
        "holds no CLIP tokenizer: a damaged file",
    ),
}


@pytest.mark.parametrize(("edit", "match"), REFUSED.values(), ids=REFUSED)
def test_other_tokenizers_are_refused_in_one_line(edit: Edit, match: str, tmp_path: Path) -> None:
    """Padding on the left was ignored; a null pad token and more gave Python's own messages."""
    folder = edited(tmp_path, edit)
    with pytest.raises(CheckpointError, match=match) as caught:
        read_tokenizer(folder, RESIZED)
    assert "\n" not in str(caught.value)
    assert "object" not in str(caught.value)
    assert str(folder) in str(caught.value)


ODD: dict[str, Edit] = {
    "added": token("<new>"),
    "pad": config(pad_token="<pad>"),
    "start": config(bos_token="<s>"),
    "more": config(additional_special_tokens=["<new>"]),
}


@pytest.mark.parametrize("edit", ODD.values(), ids=ODD)
def test_a_token_without_an_embedding_is_refused_at_reading(edit: Edit, make_checkpoint: Make) -> None:
    """It exported, and a prompt with that token failed at run time: an index out of range."""
    folder = make_checkpoint()
    edit(folder / "tokenizer")
    with pytest.raises(CheckpointError, match=r"has the token '<\w+>' with id 1114, but the text encoder knows 1114"):
        open_checkpoint(folder).check()
    resized = make_checkpoint("resized", text={"vocab_size": 1115})
    edit(resized / "tokenizer")
    open_checkpoint(resized).check()


@torch.no_grad()
def test_a_shorter_prompt_is_encoded_as_by_the_reference(make_checkpoint: Make, tmp_path: Path) -> None:
    """Every prompt had as many ids as the text encoder has positions, whatever the tokenizer said."""
    folder = make_checkpoint()
    config(model_max_length=20)(folder / "tokenizer")
    checkpoint = open_checkpoint(folder)
    assert checkpoint.text_length == 20
    (tmp_path / "tokenizer.json").write_text(checkpoint.tokenizer.json, encoding="utf-8")
    ids = torch.from_numpy(PromptTokenizer(tmp_path / "tokenizer.json", 20)(["a red fox", ""]))
    reference = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder").eval()
    expected = reference(ids, output_hidden_states=True)
    hidden_states, pooled = checkpoint.text_encoder()(ids)
    assert relative(expected.hidden_states[-2], hidden_states) <= 1e-5
    assert relative(expected.text_embeds, pooled) <= 1e-5
