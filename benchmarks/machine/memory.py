"""A process's memory, watched from outside, with that of the processes it started: what is its own (anonymous) and what
mirrors files (and can be dropped).
"""

import contextlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

INTERVAL = 0.01
"""Seconds between two looks: a look costs the machine, too."""


@dataclass(frozen=True)
class Memory:
    """Resident memory in bytes.

    Attributes
    ----------
    total
        Resident set size.
    anonymous
        Heaps, arenas and stacks; None where the system does not tell them apart (only Linux does).
    file_backed
        Mapped files and shared memory.
    """

    total: int
    anonymous: int | None
    file_backed: int | None


def resident(process: int) -> Memory:
    """Return what a process and those that it started hold now; raises `ProcessLookupError` if it has ended.

    An engine may work in processes of its own. Pages that several of them map count for each.
    """
    if not Path("/proc/self/status").exists():
        return _by_psutil(process)
    memory = _of_one(process)
    for child in _children(process):
        with contextlib.suppress(ProcessLookupError):
            memory = _sum(memory, resident(child))
    return memory


def _of_one(process: int) -> Memory:
    kibibytes = _status(process)
    if "RssAnon" not in kibibytes:  # it has ended, and its parent does not know yet
        raise ProcessLookupError(process)
    anonymous = 1024 * kibibytes["RssAnon"]
    files = 1024 * (kibibytes["RssFile"] + kibibytes["RssShmem"])
    return Memory(anonymous + files, anonymous, files)


def _status(process: int) -> dict[str, int]:
    """Return the sizes that Linux tells of a process, in KiB."""
    try:
        lines = [line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines()]
    except OSError as error:
        raise ProcessLookupError(process) from error
    return {fields[0].rstrip(":"): int(fields[1]) for fields in lines if len(fields) == 3 and fields[2] == "kB"}


def _children(process: int) -> list[int]:
    """Return the processes that one started and that have not ended; none where the system does not tell."""
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread may end while one looks
            found += [int(child) for child in file.read_text().split()]
    return found


def _high_water(process: int) -> int:
    """Return the largest resident set size of one process so far; 0 where the system does not tell."""
    return 1024 * _status(process).get("VmHWM", 0) if Path("/proc/self/status").exists() else 0


def forget_high_water(process: int) -> None:
    """Have the system forget the largest resident set size of a process, so that it counts from now on.

    Where it cannot, the peak of a later watch is at least that of all before.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/clear_refs").write_text("5")


class MemoryWatch:
    """Looks at a process again and again while a `with` block runs, and remembers each figure's peak."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._peak = Memory(0, None, None)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> Memory:
        """Look no more, and return the largest total, anonymous and file-backed memory so far, each by itself.

        On Linux the total is at least the system's own high-water mark of the process alone; the others, and that of
        what it started, may be larger between two looks.
        """
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
            with contextlib.suppress(ProcessLookupError):
                self._look()
                self._peak = replace(self._peak, total=max(self._peak.total, _high_water(self._process)))
        return self._peak

    def _watch(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            while not self._end.wait(INTERVAL):
                self._look()

    def _look(self) -> None:
        now, peak = resident(self._process), self._peak
        self._peak = Memory(
            max(now.total, peak.total),
            _larger(now.anonymous, peak.anonymous),
            _larger(now.file_backed, peak.file_backed),
        )


def _sum(a: Memory, b: Memory) -> Memory:
    """Add what Linux tells of two processes."""
    return Memory(
        a.total + b.total, (a.anonymous or 0) + (b.anonymous or 0), (a.file_backed or 0) + (b.file_backed or 0)
    )


def _larger(a: int | None, b: int | None) -> int | None:
    known = [value for value in (a, b) if value is not None]
    return max(known) if known else None


def _by_psutil(process: int) -> Memory:
    import psutil

    try:
        found = psutil.Process(process)
        total = found.memory_info().rss
        children = found.children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(process) from error
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return Memory(total, None, None)
