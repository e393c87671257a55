"""What tests of the command line share."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amused_edge.cli import main
from tests.support.in_process import Cli, Result, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return `run(*arguments, cwd=folder)`: as `tests.support.command.run`, but in this process."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["amused-edge", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, int(str(stopped.value.code)), printed.out, printed.err)

    return call


@pytest.fixture
def cli(tmp_path: Path, run: Run) -> Cli:
    """Return `cli(*arguments)`: the same in an empty folder."""
    place = tmp_path / "place"
    place.mkdir()

    def call(*arguments: str | Path) -> Result:
        done = run(*arguments, cwd=place)
        return Result(done.returncode, done.stdout, done.stderr)

    return call
