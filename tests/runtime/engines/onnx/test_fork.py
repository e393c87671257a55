"""Processes that fork while a pipeline is open, as servers do that load first and fork then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forked import forked

CHILDREN = {
    "ends": "sys.exit(0)",
    "closes": "pipeline.close(); sys.exit(0)",
    "forgets": "del pipeline; sys.exit(0)",
    "draws": """
try:
    pipeline.generate("a fox", few)
except GraphError as error:
    sys.exit(0 if "make a pipeline in each process" in str(error) else 3)
sys.exit(4)
""",
    "makes its own": """
with AmusedPipeline.from_bundle(sys.argv[1], engine) as own:
    sys.exit(0 if own.generate("a fox", few).images.tobytes() == before else 5)
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("child", "threads"), [*((child, 2) for child in CHILDREN), *((child, 4) for child in ("ends", "closes", "draws"))]
)
def test_a_child_leaves_the_parents_sessions_alone(child: str, threads: int, demo_bundle: Path) -> None:
    """With two threads the child waited for ever at its end, with four it crashed."""
    code = forked(CHILDREN[child], "EngineOptions(threads=int(sys.argv[2]))")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(demo_bundle), str(threads)], start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        _, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("a forked process never ended")
    assert process.returncode == 0, errors.decode()
