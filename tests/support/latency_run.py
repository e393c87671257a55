"""What `amused-edge bench latency` makes of a tiny bundle, where all that can differ between machines does."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import COMMAND

ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
BUNDLE = "bündel"


@dataclass(frozen=True)
class LatencyRun:
    """A bundle measured beside itself, under a name with other than English letters, in a locale that has none, with a
    home in which nothing was; of the environment nothing else is set, not even what says that a test is running.
    """

    out: Path
    home: Path
    result: subprocess.CompletedProcess[bytes]


def measure_latency(root: Path, bundle: Path) -> LatencyRun:
    """One round of one call in two steps."""
    shutil.copytree(bundle, root / BUNDLE)
    home = root / "home"
    home.mkdir()
    name = BUNDLE.encode()
    few = ("--rounds", "1", "--steps", "2", "--calls", "1", "--threads", "1", "--out", "é".encode())
    result = subprocess.run(
        [str(COMMAND), "bench", "latency", name, name, *few],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **ASCII_LOCALE},
        capture_output=True,
        check=False,
    )  # bytes: what reaches the console
    return LatencyRun(root / "é", home, result)
