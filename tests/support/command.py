"""Runs the installed command."""

import subprocess
import sys
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("amused-edge"))]


def run(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)


def fails(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed with this code and one line that has these words, without a traceback."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("amused-edge: ")
    for word in words:
        assert word in result.stderr
    assert result.stdout == ""
