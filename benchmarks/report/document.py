"""What a report holds, whatever form it takes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


class Flag(str):
    """The text of a cell that warns."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; a cell that is a `Flag` stands out.

    Attributes
    ----------
    title, note
        Above and below it; "" for none.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawing of lines.

    Attributes
    ----------
    name
        Of its file, without an ending.
    svg
        The drawing itself.
    caption
        Says what is seen; it stands in for the drawing where that cannot be shown.
    """

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Photo:
    """Pixels, for example a grid of pictures: as `Plot`, with a PNG file's bytes."""

    name: str
    png: bytes
    caption: str


Block = Text | Table | Plot | Photo


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes
    ----------
    lead
        First paragraph: what was measured, and where.
    """

    title: str
    lead: str
    sections: Sequence[Section]
