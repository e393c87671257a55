"""Prompts from a text file: UTF-8, one per line."""

import re
from pathlib import Path

from amused_edge.runtime.errors import OptionsError

_LINE_END = re.compile(r"\r\n|\n|\r")
"""What editors end lines with. Other separators of Unicode may stand within a prompt that was pasted."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Marks at the start of a file."""


def read_prompts(path: Path) -> tuple[str, ...]:
    """Return the prompts of a UTF-8 text file, one per line; empty lines and spaces around do not count.

    Raises
    ------
    OptionsError
        The file cannot be read, is in another encoding, or holds no prompt.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionsError(f"cannot read the prompts {path}: {error.strerror or error}") from error
    if content.startswith(_UTF_16):
        raise OptionsError(f"the prompts {path} are not UTF-8 text but UTF-16; save them as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = len(_LINE_END.findall(content[: error.start].decode("latin-1"))) + 1
        raise OptionsError(f"the prompts {path} are not UTF-8 text (line {place}); save them as UTF-8") from error
    lines = _LINE_END.split(text)
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise OptionsError(
                f"the prompts {path} hold a NUL character (line {number}), as UTF-16 does; save them as UTF-8"
            )
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise OptionsError(f"{path} holds no prompt; write one per line")
    return prompts
