"""Values that are there by all that is known, though their types allow None."""

import ast
from pathlib import Path

import pytest

from amused_edge.runtime.checks import present
from amused_edge.runtime.errors import AmusedEdgeError, InternalError
from tests.support.paths import ROOT

ROOMS = ("runtime", "export", "quantization", "benchmarks", "amused_edge")


@pytest.mark.parametrize("value", [0, "", False, [], ()])
def test_what_is_there_is_given_back(value: object) -> None:
    assert present(value, "a value") is value


def test_what_is_missing_is_one_clear_line() -> None:
    """An assert said nothing, and `python -O` leaves it out: the error came later, from elsewhere."""
    with pytest.raises(InternalError, match=r"^internal error: a value's name is missing; please report it") as error:
        present(None, "a value's name")
    assert isinstance(error.value, AmusedEdgeError)


def test_no_room_relies_on_asserts() -> None:
    """Three dozen of them told the type checker what is never None, and nobody else."""
    sources: list[Path] = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert sources
    asserting = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not asserting
