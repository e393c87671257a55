"""Memory of a child that holds what is known: a block of its own and a file that it mapped."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amused_edge.benchmarks.machine import memory
from amused_edge.benchmarks.machine.memory import Memory, MemoryWatch, resident

MIB = 2**20
SLACK = 3 * MIB
"""What an interpreter takes by the way."""

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the parts apart")

CHILD = """
import mmap, sys

def touch(block):
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place]

held = {}
print("ready", flush=True)
for line in sys.stdin:
    word, size, path = line.rstrip("\\n").split(" ", 2)
    if word == "hold":
        held[word] = mmap.mmap(-1, int(size), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for place in range(0, int(size), mmap.PAGESIZE):
            held[word][place] = 1
    elif word == "map":
        with open(path, "rb") as file:
            held[word] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        touch(held[word])
    elif word == "drop":
        held.clear()
    print("done", flush=True)
"""


class Child:
    """A process that holds what it is told to."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.id = process.pid
        self._process = process

    def tell(self, word: str, size: int = 0, path: Path | str = "") -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(word, size, path, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"


STARTS_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', sys.argv[1]])"


@contextmanager
def child(*, of_child: bool = False) -> Iterator[Child]:
    """A process that holds, or one that waits for a process which does."""
    interpreter = [sys.executable, "-I", "-S", "-c"]
    command = [*interpreter, STARTS_A_CHILD, CHILD] if of_child else [*interpreter, CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Child(process)
        assert process.stdin is not None
        process.stdin.close()


@linux
def test_a_block_of_its_own_is_anonymous() -> None:
    with child() as process:
        before = resident(process.id)
        process.tell("hold", 48 * MIB)
        after = resident(process.id)
    assert after.anonymous - before.anonymous == pytest.approx(48 * MIB, abs=SLACK)
    assert after.file_backed - before.file_backed == pytest.approx(0, abs=SLACK)
    assert after.total == after.anonymous + after.file_backed


@linux
def test_what_a_process_started_counts_with_it(tmp_path: Path) -> None:
    """Engines that work in processes of their own seemed to need no memory."""
    (tmp_path / "weights").write_bytes(bytes(32 * MIB))
    with child(of_child=True) as process, MemoryWatch(process.id) as watch:
        before = resident(process.id)
        process.tell("hold", 48 * MIB)
        process.tell("map", path=tmp_path / "weights")
        after = resident(process.id)
        time.sleep(5 * memory.INTERVAL)  # so that the watch has looked
        peak = watch.end()
    assert after.anonymous - before.anonymous == pytest.approx(48 * MIB, abs=SLACK)
    assert after.file_backed - before.file_backed == pytest.approx(32 * MIB, abs=SLACK)
    assert peak.total == pytest.approx(after.total, abs=SLACK)


@linux
def test_a_mapped_file_is_file_backed(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(os.urandom(MIB) * 48)
    with child() as process:
        before = resident(process.id)
        process.tell("map", path=tmp_path / "weights")
        after = resident(process.id)
    assert after.file_backed - before.file_backed == pytest.approx(48 * MIB, abs=SLACK)
    assert after.anonymous - before.anonymous == pytest.approx(0, abs=SLACK)


@linux
def test_a_watch_remembers_the_peak_of_each_part_by_itself(tmp_path: Path) -> None:
    """A block is held and dropped, then a file is mapped: the parts' peaks add up to more than the total's."""
    (tmp_path / "weights").write_bytes(bytes(40 * MIB))
    with child() as process, MemoryWatch(process.id) as watch:
        before = resident(process.id)
        process.tell("hold", 40 * MIB)
        held = resident(process.id)
        time.sleep(5 * memory.INTERVAL)  # so that the watch has looked
        process.tell("drop")
        process.tell("map", path=tmp_path / "weights")
        peak = watch.end()
        now = resident(process.id)
    assert held.anonymous - before.anonymous == pytest.approx(40 * MIB, abs=SLACK)
    assert peak.anonymous - before.anonymous == pytest.approx(40 * MIB, abs=SLACK)
    assert peak.file_backed - before.file_backed == pytest.approx(40 * MIB, abs=SLACK)
    # The system's high-water mark is kept loosely.
    assert peak.total - before.total == pytest.approx(40 * MIB, abs=10 * MIB)
    assert now.anonymous < peak.anonymous - 30 * MIB


def test_a_watch_looks_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peaks that pass between two questions are remembered, also where a part is not known at first."""
    looks = [Memory(5, None, None), Memory(9, 4, 5), Memory(8, 7, 1)]
    done = threading.Event()

    def look(process: int) -> Memory:
        if looks:
            return looks.pop(0)
        done.set()
        return Memory(1, 1, 0)

    monkeypatch.setattr(memory, "resident", look)
    with MemoryWatch(0) as watch:
        assert done.wait(60)
    assert watch.end() == Memory(9, 7, 5)


def test_a_watch_outlives_what_it_watches() -> None:
    with child() as process:
        watch = MemoryWatch(process.id)
        watch.__enter__()
        seen = resident(process.id)
        time.sleep(5 * memory.INTERVAL)
    watch.__exit__(None, None, None)
    assert watch.end().total >= seen.total - 2 * SLACK > 0


def test_an_ended_process_is_an_error() -> None:
    with child() as process:
        assert resident(process.id).total > MIB
    with pytest.raises(ProcessLookupError):
        resident(process.id)


def test_a_process_that_ended_unnoticed_by_its_parent_is_an_error() -> None:
    """It is still in the list of processes, without memory."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(ProcessLookupError):
            resident(process.pid)
    finally:
        process.wait()


def test_without_proc_the_total_alone_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    here = resident(os.getpid())
    monkeypatch.setattr(memory.Path, "exists", lambda path: False)
    elsewhere = resident(os.getpid())
    assert (elsewhere.anonymous, elsewhere.file_backed) == (None, None)
    assert elsewhere.total == pytest.approx(here.total, rel=0.2)
    with child() as process:
        pass
    with pytest.raises(ProcessLookupError):
        resident(process.id)
