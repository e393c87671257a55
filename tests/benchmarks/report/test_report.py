"""Reports: what names and prompts hold means itself, a page needs nothing else, results are JSON."""

import io
import json
import math
import re
import xml.etree.ElementTree as ET
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from amused_edge.benchmarks.report import plots
from amused_edge.benchmarks.report.document import Document, Flag, Photo, Plot, Section, Table, Text
from amused_edge.benchmarks.report.html import to_html
from amused_edge.benchmarks.report.markdown import table_lines, to_markdown
from amused_edge.benchmarks.report.write import report_files
from amused_edge.runtime.bundle.measurements import shown_psnr

HOSTILE = [
    "a|b",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    'a" onload="alert(1)',
    "a & b &lt; &amp; c",
    "two\nlines\r\n\n# three",
    "back\\slash\\",
    "pipe after a slash \\|x",
    "[link](http://evil.example)",
    "![picture](http://evil.example/x.png)",
    "](http://evil.example/x.png)",
    "`code` *stars* _lines_ ~~tilde~~ **bold**",
    "{{ 7 * 7 }} {% raw %}",
    "$x$ and $\\nonsense$",
    "_hidden",
    "</svg></figure>]]>-->",
    "\u72d0 \U0001f98a \u202eabc",
]


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(file, format="PNG")
    return file.getvalue()


@cache
def drawing() -> str:
    return plots.bars({"some": (2.0, 1.0, 3.0), "other": (1.0, 1.0, 1.0)}, "seconds")


def document(name: str) -> Document:
    table = Table(("", name), [[name, Flag(name)], ["other", name]], title=name, note=name)
    blocks = [Text(name), table, Plot("bars", drawing(), name), Photo("photo", picture(), name)]
    return Document(name, name, [Section(name, blocks)])


def one_line(name: str) -> str:
    return " ".join(name.split())


class Page(HTMLParser):
    """Tags with attributes, and the text of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self._inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


# --- Markdown, as GitHub reads it.


def rendered(text: str) -> Page:
    return Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_cannot_break_a_markdown_table(name: str) -> None:
    """Every cell is there, and says what it should."""
    page = rendered(to_markdown(document(name)))
    assert len(page.cells) == 2 * 3
    assert page.cells[1::2] == [one_line(name)] * 3
    assert page.cells[2] == one_line(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_adds_nothing_to_the_markdown(name: str) -> None:
    tags = rendered(to_markdown(document(name))).tags
    kinds = {tag for tag, _ in tags}
    assert kinds <= {*("h1", "h2", "p", "table", "thead", "tbody", "tr", "td", "th", "strong", "img")}
    assert [attributes["src"] for tag, attributes in tags if tag == "img"] == ["bars.svg", "photo.png"]
    assert [attributes["alt"] for tag, attributes in tags if tag == "img"] == [one_line(name)] * 2
    assert sum(tag == "h1" for tag, _ in tags) == sum(tag == "h2" for tag, _ in tags) == 1


def test_a_warning_is_bold() -> None:
    assert "| a | **broken** |" in to_markdown(document("a")).replace("**a**", "**broken**")


# --- The page.


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_inert_in_the_page(name: str) -> None:
    text = to_html(document(name))
    plain, hostile = Page(to_html(document("plain"))), Page(text)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert [set(attributes) for _, attributes in hostile.tags] == [set(attributes) for _, attributes in plain.tags]
    assert [one_line(cell) for cell in hostile.cells] == [one_line(c) for c in ["", name, name, name, "other", name]]
    (image,) = [attributes for tag, attributes in hostile.tags if tag == "img"]
    assert image["alt"] == name


def test_the_page_needs_no_other_file() -> None:
    text = to_html(document("plain"))
    tags = Page(text).tags
    assert not {"link", "script", "iframe", "object", "embed", "base"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        for name, value in attributes.items():
            if name in ("href", "xlink:href"):
                assert value is not None
                assert value.startswith("#"), tag
            if name in ("src", "srcset", "action", "data", "poster"):
                assert value is not None
                assert value.startswith("data:image/png;base64,"), tag
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    namespaces = r'xmlns(:\w+)?="[^"]*"|rdf:resource="[^"]*"|<dc:title>[^<]*</dc:title>'
    assert "http" not in re.sub(namespaces, "", text)


def test_drawings_and_pictures_stand_in_the_page() -> None:
    page = document("plain")
    text = to_html(page)
    assert text.count("<svg") == 1
    assert "<!DOCTYPE svg" not in text
    assert "<?xml" not in text
    assert "data:image/png;base64," in text
    assert "other</text>" in text  # a label of the drawing is text


# --- Files.


def test_drawings_and_pictures_lie_beside_the_markdown() -> None:
    found = report_files("latency", {}, document("plain"))
    assert set(found) == {"results.json", "report.md", "report.html", "bars.svg", "photo.png"}
    assert found["photo.png"] == picture()
    assert ET.fromstring(found["bars.svg"]).tag.endswith("svg")
    for name in re.findall(r"\]\(([^)]*)\)", str(found["report.md"])):
        assert name in found


def test_results_are_json_without_what_json_lacks() -> None:
    results = {
        "bad": [math.nan, math.inf, -math.inf, np.float64(np.nan)],
        "deep": ({"x": (1.5, math.inf)},),
        "good": [0, -0.0, True, None, "\u72d0 NaN", 2**63, np.float64(0.1)],
    }

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = report_files("quality", results, document("plain"))["results.json"]
    found = json.loads(text, parse_constant=refuse)
    assert found == {
        "schema_version": 1,
        "format": "amused-edge benchmark",
        "kind": "quality",
        "bad": [None] * 4,
        "deep": [{"x": [1.5, None]}],
        "good": [0, 0.0, True, None, "\u72d0 NaN", 2**63, 0.1],
    }


def test_the_same_document_has_the_same_bytes() -> None:
    assert report_files("latency", {"a": [1.5]}, document("a")) == report_files("latency", {"a": [1.5]}, document("a"))


# --- Drawings.


@pytest.mark.filterwarnings("ignore:Glyph")  # a browser has other fonts
@pytest.mark.parametrize("kind", ["bars", "stacked", "scatter"])
def test_any_label_can_be_drawn(kind: str) -> None:
    """Also one that a drawing library would take for mathematics, or hide."""
    if kind == "bars":
        svg = plots.bars(dict.fromkeys(HOSTILE, (2.0, 1.0, 3.0)), "seconds")
    elif kind == "stacked":
        svg = plots.stacked(dict.fromkeys(HOSTILE, (2.0, 1.0)), ("first", "second"), "MB")
    else:
        points = [plots.Point(name, name, 1.0, 2.0, 1.5, 2.5, False) for name in HOSTILE]
        svg = plots.scatter(points, "seconds", "dB")
    texts = ["".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]
    shown = one_line(" ".join(texts))
    times = 2 if kind == "scatter" else 1  # at its point and in the legend
    for name in HOSTILE:
        assert shown.count(one_line(name)) >= times, name


def test_bars_of_nothing_but_zeros_are_drawn_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    """A bundle beside itself has no difference at all."""
    assert "<svg" in plots.bars({"a": (0.0, 0.0, 0.0)}, "nats")
    assert [str(warning.message) for warning in recwarn.list] == []


def test_the_lines_of_a_table_are_cells_between_bars() -> None:
    assert table_lines(("", "b"), [("one", 2), ("", 3.5)]) == ["|  | b |", "|---|---|", "| one | 2 |", "|  | 3.5 |"]
    assert table_lines(("only",), []) == ["| only |", "|---|"]


def test_pictures_without_any_error_are_called_equal() -> None:
    """Their ratio is infinite, which JSON cannot say: it is None there."""
    assert shown_psnr(None) == shown_psnr(None, " dB") == "equal"
    assert shown_psnr(31.26) == "31.3"
    assert shown_psnr(31.26, " dB") == "31.3 dB"
