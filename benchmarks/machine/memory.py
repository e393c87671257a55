"""A process's memory, watched from outside: what is its own (anonymous) and what mirrors files (and can be dropped)."""

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
    """Return what a process holds now; raises `ProcessLookupError` if it has ended."""
    if not Path("/proc/self/status").exists():
        return _by_psutil(process)
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


def _high_water(process: int) -> int:
    """Return the largest resident set size so far; 0 where the system does not tell."""
    return 1024 * _status(process).get("VmHWM", 0) if Path("/proc/self/status").exists() else 0


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

        On Linux the total is the system's own high-water mark; the others may be larger between two looks.
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


def _larger(a: int | None, b: int | None) -> int | None:
    known = [value for value in (a, b) if value is not None]
    return max(known) if known else None


def _by_psutil(process: int) -> Memory:
    import psutil

    try:
        return Memory(psutil.Process(process).memory_info().rss, None, None)
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(process) from error
