"""The Markdown pages: links lead somewhere, on GitHub too; names exist; lines are not too wide."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import amused_edge.runtime
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
REPORTS = sorted((DOCS / "benchmarks").rglob("*.md"))
"""Written by the benchmarks, and copied by `make publish`."""
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "conformance/README.md")),
    *sorted((ROOT / "demo").glob("*/README.md")),
    *sorted(page for page in DOCS.rglob("*.md") if page not in REPORTS),
]
PAGES = [*WRITTEN, *REPORTS]

WIDTH = 120
CODE = re.compile(r"^( *)```.*?^\1```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAME = re.compile(r"\bamused_edge(?:\.\w+)+")


def called(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def prose(page: Path) -> str:
    """A page's text, its blocks of code emptied line by line."""
    return CODE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Files that a page leads to or shows, and the headings in them ("" for none)."""
    for target in LINK.findall(re.sub(r"`[^`]*`", "", prose(page))):
        if not re.match(r"[a-z]+:", target):
            name, _, heading = target.partition("#")
            yield (page.parent / name).resolve() if name else page, heading


@cache
def anchors(page: Path) -> set[str]:
    """What GitHub, and the site, call the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def defined(module: Path) -> set[str]:
    """All that a module or its classes define or import."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def exists(name: str) -> bool:
    """Whether a dotted name is that of a module, or of something that one defines."""
    parts = name.split(".")[1:]
    place = (
        ROOT / "amused_edge"
        if parts[0] not in {"runtime", "export", "quantization", "benchmarks", "conformance", "serve"}
        else ROOT
    )
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if parts and (place / f"{parts[0]}.py").is_file():
        place /= f"{parts.pop(0)}.py"
    return set(parts) <= defined(place if place.is_file() else place / "__init__.py")


@pytest.mark.parametrize("page", WRITTEN, ids=called)
def test_prose_is_not_wider_than_code(page: Path) -> None:
    """Lines of up to 200 columns could not be read beside their source, nor their changes seen."""
    lines = enumerate(prose(page).split("\n"), 1)
    assert [number for number, line in lines if len(line) > WIDTH and not line.startswith("|")] == []


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_links_lead_somewhere(page: Path) -> None:
    astray = [f"{file}#{heading}" for file, heading in links(page) if not leads(file, heading)]
    assert astray == []


def leads(file: Path, heading: str) -> bool:
    return file.exists() and (not heading or heading in anchors(file))


def test_links_that_lead_nowhere_are_seen() -> None:
    assert leads(DOCS / "performance.md", "share-of-the-limit")
    assert not leads(DOCS / "performance.md", "share-of-limit")
    assert not leads(DOCS / "speed.md", "")


@pytest.mark.parametrize("page", WRITTEN, ids=called)
def test_names_exist(page: Path) -> None:
    """Pages name modules, which move."""
    names = set(NAME.findall(page.read_text(encoding="utf-8")))
    assert {name for name in names if not exists(name)} == set()


def test_names_that_are_nowhere_are_seen() -> None:
    assert exists("amused_edge.runtime.pictures.heat_map.heat_map")
    assert not exists("amused_edge.runtime.heat_map.heat_map")
    assert not exists("amused_edge.runtime.AmusedPipelines")


def test_pages_that_sources_name_exist() -> None:
    rooms = ("amused_edge", "runtime", "export", "quantization", "benchmarks", "serve")
    sources = [source.read_text(encoding="utf-8") for room in rooms for source in (ROOT / room).rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"\bdocs/[\w/.-]+\.md\b", source)}
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_the_index_leads_to_every_guide() -> None:
    """There was no index: the README named the guides one by one, and so did its readers' search."""
    guides = set(WRITTEN) & {*DOCS.glob("*.md"), *DOCS.glob("drawing/*.md")}
    assert guides - {file for file, _ in links(DOCS / "index.md")} == {DOCS / "index.md", DOCS / "sidebar.md"}


def test_the_api_page_has_every_public_name() -> None:
    named = set(NAME.findall((DOCS / "api.md").read_text(encoding="utf-8")))
    public = {f"amused_edge.runtime.{name}" for name in amused_edge.runtime.__all__}
    assert public - named == set()
    assert set(amused_edge.__all__) <= set(amused_edge.runtime.__all__)


def test_published_reports_hold_what_pages_show() -> None:
    """6 MB of pages and figures lay there that no page needed, and that a command makes."""
    shown = {file for page in PAGES for file, _ in links(page)}
    assert {file for file in (DOCS / "benchmarks").rglob("*") if file.is_file()} - shown == set()
