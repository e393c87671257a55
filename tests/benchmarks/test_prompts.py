"""Prompt files as people save them, and the prompts for who has none."""

from pathlib import Path

import pytest

from amused_edge.benchmarks.prompts import BUILT_IN, read_prompts
from amused_edge.runtime.errors import OptionsError
from tests.conftest import ROOT


def read(folder: Path, content: bytes) -> tuple[str, ...]:
    file = folder / "prompts.txt"
    file.write_bytes(content)
    return read_prompts(file)


def test_one_prompt_per_line_in_order(tmp_path: Path) -> None:
    assert read(tmp_path, b"a fox\nan owl\na fox\n") == ("a fox", "an owl", "a fox")


@pytest.mark.parametrize("content", [b"a fox\nan owl", b"a fox\r\nan owl\r\n", b"\n\n a fox \n\t\nan owl\t\n\n"])
def test_line_ends_empty_lines_and_spaces_around_do_not_count(content: bytes, tmp_path: Path) -> None:
    assert read(tmp_path, content) == ("a fox", "an owl")


def test_spaces_inside_a_prompt_stay(tmp_path: Path) -> None:
    assert read(tmp_path, b"a  fox, \tand an owl\n") == ("a  fox, \tand an owl",)


def test_a_byte_order_mark_is_no_part_of_the_first_prompt(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    assert read(tmp_path, b"\xef\xbb\xbfa fox\n") == ("a fox",)


def test_prompts_in_any_script(tmp_path: Path) -> None:
    prompts = ("ein F\u00fcchslein", "\u72d0", "\U0001f98a in the snow")
    assert read(tmp_path, "\n".join(prompts).encode()) == prompts


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\r\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_prompt_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"prompts\.txt holds no prompt; write one per line"):
        read(tmp_path, content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"cannot read the prompts .*missing\.txt: No such file"):
        read_prompts(tmp_path / "missing.txt")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="cannot read the prompts"):
        read_prompts(tmp_path)


@pytest.mark.parametrize("content", [b"a f\xfcchslein\n", "a fox\n".encode("utf-16"), b"a fox\n\xc3"])
def test_bytes_that_are_not_utf_8_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"prompts\.txt are not UTF-8 text"):
        read(tmp_path, content)


def test_the_built_in_prompts_are_64_different_ones() -> None:
    assert len(BUILT_IN) == len(set(BUILT_IN)) == 64
    for prompt in BUILT_IN:
        assert prompt == prompt.strip()
        assert "\n" not in prompt


def test_the_demos_prompts_can_be_read() -> None:
    """At least 64 of its own, since a model is best measured with what it knows."""
    assert len(set(read_prompts(ROOT / "demo" / "prompts.txt"))) >= 64
