"""The CPU that this process runs on, as its system describes it."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_KIND = frozenset(
    {
        *("vendor_id", "model name", "cpu family", "model", "stepping", "flags"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),
    }
)
"""What /proc/cpuinfo says of a CPU's kind, on x86 and on ARM."""


def cpu_facts() -> dict[str, str]:
    """Return what Linux says of the first processor, such as "model name" and "flags"; nothing on other systems."""
    try:
        lines = _CPUINFO.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def usable_cores() -> int:
    """Return how many cores this process may keep busy: those that its affinity leaves it, hyperthreads not counted
    where Linux or macOS tells of them, but no more than its control groups (a container's limit) give it time for.
    """
    cores, quota = _allowed_cores(), cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota() -> float | None:
    """Return the limit that control groups set, as so many processors' time; None where there is none or it is not
    known.

    Rounded down, it is a number of threads: with one more, all are stopped for the rest of a period once its time is
    spent (https://docs.kernel.org/scheduler/sched-bwc.html).
    """
    return min((quota for quota in map(_quota, _cgroup_folders()) if quota is not None), default=None)


def _cgroup_folders() -> Iterator[Path]:
    """Yield the folders of this process' control groups that may limit its time, version 1 or 2, and those above.

    In a container the path may be the host's, of which only the root is there.
    """
    try:
        lines = _OWN_CGROUPS.read_text().split("\n")
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path and (not controllers or "cpu" in controllers.split(",")):
            root = _CGROUPS / "cpu" if controllers else _CGROUPS
            inner = Path(path.lstrip("/"))
            yield from (root / folder for folder in (inner, *inner.parents))


def _quota(folder: Path) -> float | None:
    """Return the limit of one control group, in processors."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(quota) / int(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _allowed_cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        cores = _sysctl("hw.physicalcpu") if platform.system() == "Darwin" else ""
        return int(cores) if cores.strip().isdigit() else os.cpu_count() or 1
    processors = os.sched_getaffinity(0)
    try:
        return len({(_TOPOLOGY / f"cpu{n}" / "topology" / "thread_siblings_list").read_text() for n in processors})
    except OSError:
        return len(processors)


@cache
def cpu_fingerprint() -> str:
    """Return a hash in hex that is another where the CPU's kind is and, on Linux, its instruction sets."""
    facts = {name: value for name, value in cpu_facts().items() if name in _KIND}
    described = [platform.system(), platform.machine(), platform.processor(), *sorted(facts.items())]
    if platform.system() == "Darwin":
        described.append(_sysctl("machdep.cpu.brand_string"))
    return hashlib.sha256(repr(described).encode()).hexdigest()


@cache
def _sysctl(name: str) -> str:
    try:
        return subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
