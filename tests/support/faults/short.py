"""Some of what `make faults` tries of a command, as a test."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT, TINY_BUNDLE


def try_some(command: str, folder: Path, sample: int) -> None:
    """Draw with a tiny bundle, `sample` faults by chance, always the same; in a process of its own, because what is
    forked must have one thread.
    """
    program = [sys.executable, str(ROOT / "tests" / "faults" / "run.py"), command, "--folder", str(folder)]
    chosen = ["--bundle", str(TINY_BUNDLE), "--each-kind", "2", "--sample", str(sample)]
    tried = subprocess.run([*program, *chosen], capture_output=True, text=True, env=os.environ, check=False)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert f"| {sample} |" in tried.stdout
