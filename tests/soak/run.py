"""Run as a script, `make soak`: many pictures at once, by threads of one pipeline, by pipelines that come and go, and
by processes with one cache, some of which are cancelled, left, closed or killed. Ends with 1 where a finished picture
is not the one that is drawn alone, or where memory, threads, files or locks are left.
"""

import argparse
import faulthandler
import gc
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms

from amused_edge.runtime import AmusedPipeline, EngineOptions  # noqa: E402
from tests.support.soak import AT_ONCE, Soak  # noqa: E402

BUNDLE = ROOT / "demo" / "bundle"
ALLOWED = 48_000_000
"""Bytes that memory may grow by after the first third: allocators keep some of what they once had."""


def processes(soak: Soak, first: int, count: int) -> None:
    """Processes with one cache of prepared graphs, some of which are killed; then the cache is cleared."""
    each = max(1, count // AT_ONCE)
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        for batch in range(first, first + count, each * 3):
            _some_processes(soak, batch, each, environment)
        left = list(Path(cache).rglob(".*"))
        command = [sys.executable, "-m", "amused_edge", "cache", "--clear"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        remaining = list(Path(cache, "amused-edge", "prepared").rglob("*"))
        soak.came["left in the cache by killed processes"] += len(left)
        if remaining:
            soak.wrong.append(f"not cleared: {remaining[:3]}")


def _some_processes(soak: Soak, first: int, each: int, environment: dict[str, str]) -> None:
    chance = random.Random(f"k {soak.seed} {first}")
    program = [sys.executable, __file__, "--bundle", str(soak.bundle), "--seed", str(soak.seed), "--child"]
    expected = ",".join(soak.expected)
    running = [
        subprocess.Popen([*program, str(first + n * each), str(each), expected], env=environment) for n in range(3)
    ]
    if chance.random() < 0.7:
        time.sleep(chance.uniform(0.5, 4))
        running[0].send_signal(signal.SIGKILL)
    for process in running:
        code = process.wait()
        soak.came["process killed" if code < 0 else "process done"] += 1
        if code > 0:
            soak.wrong.append(f"a process ended with {code}")


def child(bundle: Path, seed: int, first: int, count: int, expected: list[str]) -> None:
    """Draw in a process of its own, with prepared graphs."""
    soak = Soak(bundle, seed, expected)
    with AmusedPipeline.from_bundle(bundle, EngineOptions(threads=1, cache_bytes=2**30)) as pipeline:
        for number in range(first, first + count):
            soak.one(pipeline, number)
    sys.exit("; ".join(soak.wrong) or 0)


def footprint() -> tuple[int, int, int]:
    """Return this process's memory in bytes, its threads, and its open files."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return 1024 * resident, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def main() -> None:
    """Draw so many pictures in all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--deadline", type=float, default=3600, help="seconds after which all threads are shown")
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    faulthandler.dump_traceback_later(chosen.deadline, exit=True)
    if chosen.child:
        first, count, expected = chosen.child
        child(chosen.bundle, chosen.seed, int(first), int(count), expected.split(","))
    soak = Soak(chosen.bundle, chosen.seed)
    failed = run(soak, chosen.count)
    faulthandler.cancel_dump_traceback_later()
    sys.exit(failed)


def run(soak: Soak, count: int) -> int:
    """Run all phases three times, and compare what is left after each time."""
    phases: list[Callable[[int, int], None]] = [soak.threads, soak.pipelines, partial(processes, soak)]
    left = []
    for third in range(3):
        for number, phase in enumerate(phases):
            share = count // 3 // len(phases)
            phase((third * len(phases) + number) * share, share)
        left.append(footprint())
        shown = ", ".join(f"{name}: {came}" for name, came in sorted(soak.came.items()))
        memory, threads, files = left[-1]
        print(f"third {third + 1}: {shown}; {memory / 1e6:.1f} MB, {threads} threads, {files} files", flush=True)
    wrong = list(soak.wrong)
    if left[2][0] - left[0][0] > ALLOWED:
        wrong.append(f"memory grew from {left[0][0] / 1e6:.1f} to {left[2][0] / 1e6:.1f} MB")
    if left[2][1:] != left[0][1:]:
        wrong.append(f"threads and files: {left[0][1:]}, then {left[2][1:]}")
    print("\n".join(wrong) if wrong else "every finished picture is the one that is drawn alone, and nothing was left")
    return int(bool(wrong))


if __name__ == "__main__":
    main()
