"""Nothing leaves the user's machine, and nothing is left in the home but our own cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.latency_run import LatencyRun

COMMAND = str(Path(sys.executable).with_name("amused-edge"))
STRACE = shutil.which("strace")

LIBRARY_USER = """
import sys
import amused_edge
import onnxruntime  # the user's own, after ours
with amused_edge.AmusedPipeline.from_bundle(sys.argv[1]) as pipeline:
    pipeline.generate("a fox", amused_edge.GenerationOptions(steps=1))
"""


def fresh(home: Path) -> dict[str, str]:
    """An environment in which nothing is set, not even what says that a test is running: the engine reports nothing
    where it finds CI's variables.
    """
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


def commands(bundle: Path) -> list[list[str]]:
    return [
        [COMMAND, "generate", str(bundle), "a fox", "--steps", "1", "-o", "fox.png"],
        [COMMAND, "inspect", str(bundle), "--verify"],
        [sys.executable, "-c", LIBRARY_USER, str(bundle)],
    ]


NAMES = ("generate", "inspect", "library")


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_only_our_own_folder_appears_in_a_fresh_home(number: int, demo_bundle: Path, tmp_path: Path) -> None:
    """The engine used to leave a device's id and an event with the machine's particulars there."""
    home = tmp_path / "home"
    subprocess.run(commands(demo_bundle)[number], cwd=tmp_path, env=fresh(home), check=True, capture_output=True)
    assert strangers(home, ".cache/amused-edge/") == []


@pytest.mark.slow
def test_a_benchmark_leaves_no_more_and_a_librarys_cache(latency_run: LatencyRun) -> None:
    """It measures in processes of its own."""
    assert latency_run.result.returncode == 0
    assert strangers(latency_run.home, ".cache/amused-edge/", ".cache/matplotlib/") == []


def strangers(home: Path, *allowed: str) -> list[str]:
    """Return the files in a home that are in none of these folders."""
    left = (str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir())
    return [path for path in left if not path.startswith(allowed)]


@pytest.mark.skipif(STRACE is None, reason="strace, which sees the engine's own calls, is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_looked_up_and_no_connection_made(name: str, demo_bundle: Path, tmp_path: Path) -> None:
    """The engine used to ask for its vendor's host as soon as it was imported."""
    assert internet(commands(demo_bundle)[NAMES.index(name)], tmp_path) == []


@pytest.mark.skipif(STRACE is None, reason="strace, which sees the engine's own calls, is not installed")
def test_a_look_up_would_be_seen(tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing; this one asks its own machine."""
    asks = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'?', ('127.0.0.1', 53))"
    assert internet([sys.executable, "-c", asks], tmp_path) != []


def internet(command: list[str], folder: Path) -> list[str]:
    """Run a command and return its system calls, and those of the processes it starts, that name an internet address
    or its kind of socket.
    """
    trace = folder / "trace"
    traced = [str(STRACE), "--follow-forks", "--trace=%network", f"--output={trace}", *command]
    subprocess.run(traced, cwd=folder, env=fresh(folder / "home"), check=True, capture_output=True)
    return [line for line in trace.read_text().splitlines() if "AF_INET" in line or "PF_INET" in line]


@pytest.mark.parametrize(
    ("variable", "off"),
    [("ORT_DISABLE_TELEMETRY", "1"), ("HF_HUB_DISABLE_TELEMETRY", "1"), ("RAY_USAGE_STATS_ENABLED", "0")],
)
@pytest.mark.parametrize("given", [None, "0", "1", ""])
def test_whoever_wants_telemetry_may_have_it(variable: str, off: str, given: str | None) -> None:
    found = off if given is None else given
    code = f"import amused_edge, os; print(repr(os.environ[{variable!r}]))"
    environment = {name: value for name, value in os.environ.items() if name != variable}
    if given is not None:
        environment[variable] = given
    result = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert result.stdout.strip() == repr(found)


def test_importing_any_room_comes_first() -> None:
    """The engine reads the variable when it is imported, whichever module imports it."""
    code = "import os, amused_edge.benchmarks.execution.peaks; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "1"
