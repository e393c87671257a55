"""A signal during the imports, which take seconds, is one line too."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = {
    "amused-edge": [str(Path(sys.executable).parent / "amused-edge")],
    "python -m amused_edge": [sys.executable, "-m", "amused_edge"],
}

# Runs when the interpreter starts: the import of one module says that it has begun, and does not end.
SLEEPER = """
import os, sys, time

class Sleeper:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["SLEEPS_AT"]:
            open(os.environ["SIGN"], "x").close()
            time.sleep(600)

sys.meta_path.insert(0, Sleeper())
"""


@pytest.mark.parametrize("module", ["click", "numpy", "amused_edge.runtime.errors", "amused_edge.cli.validate"])
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_during_the_imports(
    tmp_path: Path, command: str, number: signal.Signals, code: int, word: str, module: str
) -> None:
    """They were outside of what turns an interruption into a line, so it ended in a traceback."""
    (tmp_path / "sitecustomize.py").write_text(SLEEPER)
    sign = tmp_path / "sign"
    process = subprocess.Popen(
        [*COMMANDS[command], "inspect", "x"],
        env={"PATH": "", "PYTHONPATH": str(tmp_path), "SLEEPS_AT": module, "SIGN": str(sign)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not sign.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (code, "", f"amused-edge: {word}\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As a shell's job in the background, or under nohup."""
    check = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from amused_edge import cli; "
        "cli._run = lambda: int(signal.getsignal(signal.SIGINT) is not signal.SIG_IGN); cli.main()"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
