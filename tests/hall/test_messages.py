"""Every value in a message goes through the helper that shortens it, read from the sources."""

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ROOMS = ("amused_edge", "runtime", "export", "quantization", "benchmarks")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
BEFORE_ALL = ROOT / "amused_edge" / "__init__.py"  # imports nothing of ours, and names attributes only


def bare_values(path: Path) -> list[int]:
    """Lines with `{value!r}` in an f-string."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)]
    return [node.lineno for node in found if node.conversion == ord("r")]


def test_the_search_finds_them() -> None:
    assert bare_values(BEFORE_ALL)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_values_are_quoted_by_the_helper(path: Path) -> None:
    """`{value!r}` has no bound: `quoted(value)` of amused_edge.runtime.errors does."""
    assert path == BEFORE_ALL or not bare_values(path)
