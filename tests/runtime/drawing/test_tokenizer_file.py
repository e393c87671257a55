"""Which `tokenizer.json` is read, and what is refused before the library sees it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from amused_edge.runtime.drawing.tokenizer import PromptTokenizer
from amused_edge.runtime.errors import BundleError, as_refusal
from tests.support.paths import ROOT

TOKENIZER = ROOT / "demo" / "bundle" / "tokenizer.json"


def _edited(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """The demo's `tokenizer.json`, edited."""
    content = json.loads(TOKENIZER.read_text())
    edit(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder / "tokenizer.json"


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        *(("truncation", {"stride": stride}) for stride in (1, 77, 2**31)),
        *(("truncation", {"max_length": 76}), ("truncation", None), ("truncation", {"direction": "Left"})),
        *(("padding", {"strategy": {"Fixed": 78}}), ("padding", None), ("padding", {"direction": "Left"})),
        ("padding", {"pad_to_multiple_of": 1000}),
        ("truncation", {"strategy": "OnlySecond"}),
    ],
)
def test_one_that_does_not_pad_or_cut_as_it_should_is_refused(part: str, changes: Any, tmp_path: Path) -> None:
    """A stride above the length was a panic of the library, which no caller caught; a multiple gave a million ids."""
    file = _edited(tmp_path, lambda content: content.update({part: changes and {**content[part], **changes}}))
    with pytest.raises(BundleError, match="does not pad and truncate to 77 ids"):
        PromptTokenizer(file, 77)


_NOT_CLIP: dict[str, Callable[[dict[str, Any]], object]] = {
    "a letter becomes ten, seven times": lambda content: content["normalizer"]["normalizers"].extend(
        [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}] * 7
    ),
    "capitals stay": lambda content: content["normalizer"]["normalizers"].pop(),
    "no normalizer": lambda content: content.update(normalizer=None),
    "a pattern that takes forever": lambda content: content["pre_tokenizer"]["pretokenizers"][0].update(
        pattern={"Regex": "(a+)+!"}
    ),
    "words are thrown away": lambda content: content["pre_tokenizer"]["pretokenizers"][0].update(invert=False),
    "a space before": lambda content: content["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
    "other ends": lambda content: content["post_processor"].update(type="BertProcessing"),
    "another decoder": lambda content: content["decoder"].update(type="Strip", content="a", start=0, stop=0),
    "merges left out by chance": lambda content: content["model"].update(dropout=0.5),
    "a template, whatever its type says": lambda content: content.update(
        post_processor={"type": "RobertaProcessing", "single": [], "pair": [], "special_tokens": {}}
    ),
    "ends without a type": lambda content: content["post_processor"].pop("type"),
    "a model without a type": lambda content: content["model"].pop("type"),
    "a decoder without a type": lambda content: content.update(decoder={"pattern": {"Regex": ""}, "content": "x"}),
    "no mark of a word's end": lambda content: content["model"].update(end_of_word_suffix=None),
    "more than is known": lambda content: content["model"].update(max_input_chars_per_word=100),
    "another model": lambda content: content["model"].update(type="WordLevel"),
    "a prefix": lambda content: content["model"].update(continuing_subword_prefix="##"),
}


@pytest.mark.parametrize("edit", _NOT_CLIP.values(), ids=_NOT_CLIP)
def test_one_that_does_what_clips_does_not_is_refused(edit: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    """The library does whatever a file says: one of some hundred bytes took all memory when it was opened."""
    file = _edited(tmp_path, edit)
    with pytest.raises(BundleError, match=r"tokenizer.json is no CLIP tokenizer.*; export the bundle again$"):
        PromptTokenizer(file, 77)


@pytest.mark.parametrize("token", [None, "<unk>", 3, ["<|endoftext|>"], {}])
def test_an_unknown_token_that_is_none_is_refused(token: Any, tmp_path: Path) -> None:
    """Else what the vocabulary does not have ends the drawing, or is left out."""
    file = _edited(tmp_path, lambda content: content["model"].update(unk_token=token))
    with pytest.raises(BundleError, match=r"tokenizer.json.* .?unk_token.? is .*; export the bundle again$"):
        PromptTokenizer(file, 77)


def test_the_pattern_of_older_files_names_no_tokens(tmp_path: Path) -> None:
    def old(content: dict[str, Any]) -> None:
        split = content["pre_tokenizer"]["pretokenizers"][0]
        split["pattern"]["Regex"] = split["pattern"]["Regex"].partition("endoftext\\|>|")[2]
        content["decoder"] = None

    file, prompts = _edited(tmp_path, old), ["a fox's tail, 12 é"]
    assert file.read_text() != TOKENIZER.read_text()
    assert np.array_equal(PromptTokenizer(file, 77)(prompts), PromptTokenizer(TOKENIZER, 77)(prompts))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[]", '{"model": {}, "model": {}}', "\ud800"], ids=range(6))
def test_what_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    """Also where a name is there twice: the library might read the other."""
    (tmp_path / "tokenizer.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BundleError, match=r"tokenizer.json is not a .*; export the bundle again$"):
        PromptTokenizer(tmp_path / "tokenizer.json", 77)


def test_a_name_that_is_twice_among_many_is_found(tmp_path: Path) -> None:
    """In the square of their number, at first."""
    names = ", ".join(f'"{number}": 0' for number in [*range(100_000), 99_999])
    (tmp_path / "tokenizer.json").write_text(f"{{{names}}}")
    with pytest.raises(BundleError, match="'99999' is there twice"):
        PromptTokenizer(tmp_path / "tokenizer.json", 77)


def test_what_the_library_refuses_is_told_with_the_file(tmp_path: Path) -> None:
    """A pair of parts that no vocabulary has."""
    file = _edited(tmp_path, lambda content: content["model"].update(merges=[["no such", "part"]]))
    with pytest.raises(BundleError, match=r"tokenizer.json is not a tokenizer: .*; export the bundle again$"):
        PromptTokenizer(file, 77)


def test_a_prompt_that_the_library_cannot_read_is_refused() -> None:
    class Broken:
        def encode_batch(self, prompts: list[str]) -> None:
            raise ValueError("of its own")

    tokenizer = PromptTokenizer(TOKENIZER, 77)
    tokenizer._tokenizer = Broken()  # type: ignore[assignment]
    says = r"^the bundle's tokenizer cannot read the prompt: .*of its own.*; export the bundle again$"
    with pytest.raises(BundleError, match=says):
        tokenizer(["a fox"])


def test_ids_of_another_number_are_refused() -> None:
    """Whatever a file could have said."""
    tokenizer = PromptTokenizer(TOKENIZER, 77)
    tokenizer._tokenizer.enable_padding(length=80)
    with pytest.raises(BundleError, match="gives 80 ids, not 77"):
        tokenizer(["a fox"])


def test_where_the_library_panics_it_is_refused() -> None:
    """What Rust tells Python then is no `Exception`, and went past all that makes one line of errors."""
    content = json.loads(TOKENIZER.read_text())
    content["normalizer"]["normalizers"][1]["pattern"] = {"Regex": ""}
    with pytest.raises(BundleError, match=r"^it is damaged: .*\.$"), as_refusal(BundleError, "it is damaged: ", "."):
        Tokenizer.from_str(json.dumps(content))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_who_interrupts_is_not_refused(interruption: type[BaseException]) -> None:
    with pytest.raises(interruption), as_refusal(BundleError, "it is damaged: "):
        raise interruption
