"""Commands that write, with a file-changing system call that fails, or that the process does not live to make: some of
what `make faults` tries, by chance, always the same. Outputs are whole or not there, and a second run succeeds.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.faults.campaign import of_each_kind
from tests.support.faults.supervised import supported
from tests.support.paths import ROOT, TINY_BUNDLE

SAMPLE = 3


def test_calls_of_each_kind() -> None:
    """The last of each, and others by chance."""
    kinds = ["open", "write", "write", "write", "rename", "open"]
    assert of_each_kind(kinds, 1, random.Random(0)) == [3, 4, 5]
    for seed in range(9):
        two = of_each_kind(kinds, 2, random.Random(seed))
        assert len(two) == 5
        assert {0, 3, 4, 5} < set(two)
    assert of_each_kind(kinds, 9, random.Random(0)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.skipif(bool(supported()), reason=supported() or "-")
@pytest.mark.parametrize("command", ["generate, companions", "generate, resume", "cache, clear"])
def test_a_command(command: str, tmp_path: Path) -> None:
    """In a process of its own: what is forked must have one thread."""
    program = [sys.executable, str(ROOT / "tests" / "faults" / "run.py"), command, "--folder", str(tmp_path)]
    chosen = ["--bundle", str(TINY_BUNDLE), "--each-kind", "2", "--sample", str(SAMPLE)]
    tried = subprocess.run([*program, *chosen], capture_output=True, text=True, env=os.environ, check=False)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert f"| {SAMPLE} |" in tried.stdout
