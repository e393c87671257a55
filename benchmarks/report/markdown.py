"""A document as Markdown; drawings and pictures are files beside it."""

import re
from collections.abc import Iterable, Sequence

from amused_edge.benchmarks.report.document import Block, Document, Flag, Photo, Plot, Table, Text

_ACTIVE = re.compile(r"([\\`*\[\]<&~|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""What Markdown gives a meaning inside a line."""


def to_markdown(document: Document) -> str:
    """Return the text of `report.md`."""
    parts = [f"# {_escape(document.title)}", _escape(document.lead)]
    for section in document.sections:
        parts += [f"## {_escape(section.title)}", *(_block(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def table_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table, its cells as they are: what they hold must mean nothing to Markdown."""
    return [_row(header), "|---" * len(header) + "|", *(_row(row) for row in rows)]


def files_beside(document: Document) -> dict[str, bytes]:
    """Return name -> content of the files that the Markdown shows."""
    blocks = [block for section in document.sections for block in section.blocks]
    plots = {f"{block.name}.svg": block.svg.encode() for block in blocks if isinstance(block, Plot)}
    photos = {f"{block.name}.png": block.png for block in blocks if isinstance(block, Photo)}
    return {**plots, **photos}


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return _escape(block.text)
    if isinstance(block, Table):
        return _table(block)
    ending = "svg" if isinstance(block, Plot) else "png"
    return f"![{_escape(block.caption)}]({block.name}.{ending})"


def _table(table: Table) -> str:
    lines = table_lines([_cell(cell) for cell in table.header], ([_cell(cell) for cell in row] for row in table.rows))
    title = [f"**{_escape(table.title)}**"] if table.title else []
    note = [_escape(table.note)] if table.note else []
    return "\n\n".join([*title, "\n".join(lines), *note])


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _cell(cell: str) -> str:
    return f"**{_escape(cell)}**" if isinstance(cell, Flag) else _escape(cell)


def _escape(text: str) -> str:
    """Return text that means itself: names come from folders and files."""
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))
