"""Prompt files as people save them."""

from pathlib import Path

import pytest

from amused_edge.runtime import OptionsError
from amused_edge.runtime.tasks.prompt_file import read_prompts


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


@pytest.mark.parametrize(
    ("content", "line"), [(b"a f\xfcchslein\n", 1), (b"a fox\r\nan owl\n\xc3", 3), (b"a fox\rb\xe4r\ran owl", 2)]
)
def test_bytes_that_are_not_utf_8_are_refused_with_their_line(content: bytes, line: int, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=rf"prompts\.txt are not UTF-8 text \(line {line}\); save them as UTF-8"):
        read(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_other_encodings_of_unicode_are_refused(encoding: str, mark: str, tmp_path: Path) -> None:
    """Without a mark, prompts were letters with a NUL after each, and pictures of nothing came of them."""
    with pytest.raises(OptionsError, match=r"prompts\.txt .*; save them as UTF-8"):
        read(tmp_path, (mark + "a fox\nan owl\n").encode(encoding))


def test_a_nul_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"prompts\.txt hold a NUL character \(line 3\)"):
        read(tmp_path, b"a fox\n\nan\0owl\n")


@pytest.mark.parametrize("separator", list("\v\f\x1c\x1d\x1e\x85\u2028\u2029"))
def test_separators_that_are_no_line_ends_stay_within_a_prompt(separator: str, tmp_path: Path) -> None:
    """One prompt that was copied from a page with a line separator gave two pictures of its halves."""
    prompt = f"a fox{separator}in the snow"
    assert read(tmp_path, f"{prompt}\nan owl".encode()) == (prompt, "an owl")


def test_old_and_mixed_line_ends_are_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path, b"a fox\ran owl\r\n\r\na bat\n\rb") == ("a fox", "an owl", "a bat", "b")
