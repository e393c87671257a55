"""What tests of the command line share."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.cli import main
from tests.support.in_process import Cli, Result, Run


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return `call(*arguments)`: the command in this process, where it stands."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["amused-edge", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        return Result(int(str(stopped.value.code)), *capsys.readouterr())

    return call


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Cli) -> Cli:
    """Return `cli(*arguments)`: the command in this process, in an empty folder."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return call


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, call: Cli) -> Run:
    """Return `run(*arguments, cwd=folder)`: what `tests.support.command.run` does in a process of its own."""

    def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        code, out, err = call(*arguments)
        return subprocess.CompletedProcess(list(arguments), code, out, err)

    return run
