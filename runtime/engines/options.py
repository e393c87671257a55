"""Settings of an engine, for speed and memory. Threads and providers may change the last bits of what is computed."""

from dataclasses import dataclass

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.options import whole_number


@dataclass(frozen=True)
class EngineOptions:
    """How graphs are run.

    Attributes
    ----------
    threads
        Threads within one operator; None leaves it to the engine (one per physical core).
    providers
        ONNX Runtime execution providers, first choice first; None is the CPU.
    memory_arena
        Keep freed memory for reuse (faster) instead of giving it back after each allocation (smaller).
    memory_pattern
        Plan one block for all intermediate tensors of a run (faster) instead of single allocations.
    spinning
        Let idle threads spin for a while (faster, drains a battery) instead of sleeping.
    """

    threads: int | None = None
    providers: tuple[str, ...] | None = None
    memory_arena: bool = True
    memory_pattern: bool = True
    spinning: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None:
            whole_number("threads", self.threads, minimum=1)
        if self.providers is not None:
            if isinstance(self.providers, str) or not self.providers:
                raise OptionsError(f"providers is {self.providers!r}; give a list of names, or None for the CPU")
            object.__setattr__(self, "providers", tuple(self.providers))
