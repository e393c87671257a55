"""Settings of an engine, for speed and memory. Threads and providers may change the last bits of what is computed."""

from dataclasses import dataclass
from typing import Any, Literal

from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.system.cpu import usable_cores

CPU_PROVIDER = "CPUExecutionProvider"
"""What ONNX Runtime calls its engine for CPUs."""

COMPUTE_UNITS = ("all", "cpu_and_ne", "cpu_and_gpu", "cpu_only")

_MOST_THREADS = 256
"""More only wait for each other: with a thousand on two cores, a picture of the demo is not done in minutes."""

CACHE_BYTES = 4 * 2**30
"""What a cache is allowed where nobody says: two full-size bundles in 8 bits."""

Simulation = Literal["half", "float"]
SIMULATIONS: tuple[Simulation, ...] = ("half", "float")


@dataclass(frozen=True)
class EngineOptions:
    """How graphs are run. Core AI chooses by itself: of all this, `keep_graphs` and `remembered_prompts` alone matter.

    Attributes
    ----------
    threads
        Threads within one operator, up to 256; None is one per physical core that the process may use (affinity, and a
        container's limit, counted). A graph that takes one row at a time has rows run at the same time, on this many
        threads in all.
    providers
        ONNX Runtime execution providers, first choice first; None is the CPU.
    memory_arena
        Keep freed memory for reuse (faster) instead of giving it back after each allocation (smaller).
    memory_pattern
        Plan one block for all intermediate tensors of a run (faster) instead of single allocations.
    keep_graphs
        Keep each graph once it is loaded (faster) instead of loading it just before use and dropping it just after.
    remembered_prompts
        Conditionings that a pipeline keeps for prompts that come again, such as the empty negative prompt, and as many
        branches' logits of the first step, where every token is masked; 0: none.
    cache_bytes
        Of ONNX Runtime: keep what it makes of a graph (optimised, weights packed for this CPU) in the user's cache
        folder, so that later loads map it into memory: they are faster and take little memory of their own. At most
        so many bytes in all, those unused for longest go first; 0: keep nothing.
    compute_units
        Of Core ML: "all", "cpu_and_ne" (CPU and Neural Engine), "cpu_and_gpu" or "cpu_only".
    simulate
        Run Core ML graphs with the NumPy evaluator, on any system: "half" rounds all fp16 values as they are stored,
        "float" computes in float32. None: the engine itself, on a Mac.
    check_floats
        Raise `GraphError` where a graph that returns whole numbers (pixels, tokens) computes NaN or infinity on the
        way, which they do not show; for checks of bundles. Of ONNX Runtime and the evaluator; Core ML and Core AI show
        no floats.
    spinning
        Let idle threads spin for a while (faster, drains a battery) instead of sleeping.
    """

    threads: int | None = None
    providers: tuple[str, ...] | None = None
    memory_arena: bool = True
    memory_pattern: bool = True
    spinning: bool = True
    keep_graphs: bool = True
    remembered_prompts: int = 4
    cache_bytes: int = 0
    compute_units: str = "all"
    simulate: Simulation | None = None
    check_floats: bool = False

    @staticmethod
    def low_memory(**others: Any) -> "EngineOptions":
        """Return options whose peak memory is that of the largest graph and not of the sum, at a price in time: the
        graphs are loaded anew for each prompt, and with glibc all freed blocks of a megabyte or more go back to the
        system, in the whole process. `others` are options as of `EngineOptions`; `cache_bytes` among them saves most.
        """
        small = {"memory_arena": False, "memory_pattern": False, "keep_graphs": False, "remembered_prompts": 0}
        return EngineOptions(**{**small, **others})

    @property
    def cpu_threads(self) -> int:
        """Threads on the CPU, also where none were chosen."""
        return self.threads or usable_cores()

    @property
    def reuse_tensors(self) -> bool:
        """Whether tensors may take over the memory of others, which keeps it for longer than they need it; of roles
        whose tensors are large, where memory is little, they may not.
        """
        return self.keep_graphs

    def __post_init__(self) -> None:
        if self.threads is not None:
            whole_number("threads", self.threads, minimum=1, maximum=_MOST_THREADS)
        whole_number("remembered_prompts", self.remembered_prompts, minimum=0)
        whole_number("cache_bytes", self.cache_bytes, minimum=0)
        if self.providers is not None:
            names = not isinstance(self.providers, str) and all(isinstance(name, str) for name in self.providers)
            if not self.providers or not names:
                raise OptionsError(f"providers is {quoted(self.providers)}; give a list of names, or None for the CPU")
            object.__setattr__(self, "providers", tuple(self.providers))
        if self.compute_units not in COMPUTE_UNITS:
            raise OptionsError(f"compute_units is {quoted(self.compute_units)}; choose {', '.join(COMPUTE_UNITS)}")
        if self.simulate not in (None, *SIMULATIONS):
            raise OptionsError(f"simulate is {quoted(self.simulate)}; choose {', '.join(SIMULATIONS)}, or None")
