"""The command line in this process: what libraries take seconds to import is imported once."""

import subprocess
from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Result]
Run = Callable[..., subprocess.CompletedProcess[str]]


def one_line(result: Result, code: int, *words: str) -> None:
    assert result.code == code, result
    assert result.err.startswith("amused-edge: ")
    assert result.err.count("\n") == 1, result.err
    assert result.out == ""
    assert all(word in result.err for word in words), result.err


def usage(result: Result, *words: str) -> None:
    """What click says of wrong usage; it shows the usage first."""
    assert result.code == 2
    assert "Usage: " in result.err
    assert "Traceback" not in result.err
    assert all(word in result.err for word in words), result.err
