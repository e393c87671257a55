"""Text from a manifest as Markdown and as YAML: whatever a name holds, it stays a name."""

import json
import re
import textwrap
from collections.abc import Iterable, Sequence

from amused_edge.runtime.errors import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$@])|(?<=\w)(://)")
_PLAIN = re.compile(r"[A-Za-z][\w.+-]*(/[\w.+-]+)?", re.ASCII)
_NAME = re.compile(r"[\w./+@:-]+")
_NOT_TEXT = {"y", "n", "yes", "no", "true", "false", "on", "off", "null"}
"""Words that YAML reads as something else."""

_LONGEST = 200
_WIDTH = 120


def plain(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    return _SPECIAL.sub(lambda found: f"\\{found[1]}" if found[1] else "&#58;//", one_line(text, _LONGEST))


def code(text: str) -> str:
    """Return a name as a piece of code; one with more than letters and a few marks as `plain` does."""
    return f"`{text}`" if _NAME.fullmatch(text) and len(text) < _LONGEST else plain(text)


def paragraph(text: str, indent: str = "") -> list[str]:
    """Return the lines of a paragraph; those after the first begin with the indent."""
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def yaml_text(text: str) -> str:
    """Return a text as a YAML value; JSON's strings are YAML's too."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return json.dumps(one_line(text, _LONGEST), ensure_ascii=True)
