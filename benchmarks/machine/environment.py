"""The machine and the software that figures were measured with."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from amused_edge.runtime.system.cpu import cpu_facts

_PACKAGES = (
    *("amused-edge", "numpy", "onnxruntime", "tokenizers", "coremltools", "coreai-core"),
    *("torch", "diffusers", "transformers", "openvino", "nncf"),
)
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""x86's instruction sets of 8-bit dot products."""

_FLAGS = frozenset(
    {
        *_VNNI,
        *("avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16"),
        *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
    }
)
"""Instruction sets that matrix products of some precision gain from, as Linux names them."""


@dataclass(frozen=True)
class Environment:
    """A machine and its software.

    Attributes
    ----------
    cpu
        The model, as the system names it.
    flags
        Instruction sets of `cpu` that matter here, sorted; empty where the system does not tell.
    cores
        Logical ones that this process may use.
    memory
        In bytes; None where the system does not tell.
    packages
        Versions of what is installed.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory: int | None
    system: str
    python: str
    packages: dict[str, str]

    def line(self) -> str:
        """Return one sentence for a page."""
        integer = "with" if (_VNNI | {"asimddp"}) & set(self.flags) else "without"
        known = f" ({', '.join(self.flags)}; {integer} 8-bit dot products)" if self.flags else ""
        memory = "" if self.memory is None else f", {self.memory / 2**30:.0f} GiB"
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return f"{self.cpu}{known}, {self.cores} cores{memory}; {self.system}; Python {self.python}, {packages}."


def environment() -> Environment:
    """Describe this machine and process."""
    facts = cpu_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    names = (facts.get("model name"), facts.get("CPU part"), platform.processor(), platform.machine())
    return Environment(
        cpu=next((name for name in names if name), "unknown"),
        flags=tuple(sorted(_FLAGS.intersection(flags))),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_memory(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=_packages(),
    )


def load_average() -> float | None:
    """Return how many processes wanted to run in the last minute, on average; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
