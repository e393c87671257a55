"""Stopping a generation from outside: between two steps, and within one through the engine's own termination."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from amused_edge.runtime.errors import GenerationCancelledError


class Cancellation:
    """A wish to stop, which any thread may utter. Give it to a generation; it serves for one or for several.

    A generation that is cancelled raises `GenerationCancelledError` within the operator that its engine runs.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call cancel() while this thread holds it
        self._cancelled = False
        self._running: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop everything that was given this object; more calls change nothing."""
        with self._lock:
            self._cancelled = True
            for terminate in self._running:
                terminate()

    def check(self) -> None:
        """Raise `GenerationCancelledError` if `cancel` was called."""
        if self._cancelled:
            raise GenerationCancelledError("the generation was cancelled")

    @contextmanager
    def terminating(self, terminate: Callable[[], None]) -> Iterator[None]:
        """Call `terminate` when `cancel` is called within the block; raise at once if it was called before."""
        with self._lock:
            self.check()
            self._running.append(terminate)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(terminate)
