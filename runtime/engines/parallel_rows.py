"""Runs the rows of a batch at the same time, each on a core of its own: the two branches of guidance.

Threads that share an operator wait for each other at its end, and each reads what the other wrote; on cores without a
common cache that costs more than the work. Rows share nothing but weights.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from amused_edge.runtime.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, Graph, call
from amused_edge.runtime.engines.static_batch import joined, split
from amused_edge.runtime.errors import GraphError


class ParallelRows:
    """A graph of batch 1, called for as many rows at a time as there are threads; the outputs are put together again.

    An engine's threads are chosen when it loads a graph, so another number of rows at a time may need the graph to be
    loaded anew: from two threads, one for each of two rows, to two for one row. It is not held twice, except while
    several callers ask for different numbers at once.

    Parameters
    ----------
    load
        Loads the graph with so many threads.
    threads
        In all, 2 or more.
    rows
        What the graph is loaded for at first.
    """

    def __init__(self, role: str, load: Callable[[int], Graph], threads: int, rows: int) -> None:
        self._role = role
        self._load = load
        self._threads = threads
        self._callers = ThreadPoolExecutor(threads, thread_name_prefix=role)
        self._graphs: dict[int, Graph] = {}
        self._users: Counter[int] = Counter()
        self._lock = threading.RLock()  # whoever is in it may, at any allocation, end a generator that closes graphs
        self._closed = False
        with self._use(rows):
            pass

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        return self._run(inputs, None)

    def run(self, inputs: Arrays, cancellation: Cancellation) -> dict[str, NDArray[Any]]:
        """Run the graph until cancelled, see `InterruptibleGraph`."""
        return self._run(inputs, cancellation)

    def _run(self, inputs: Arrays, cancellation: Cancellation | None) -> dict[str, NDArray[Any]]:
        rows = split(self._role, inputs)
        with self._use(len(rows)) as graph:
            if len(rows) == 1:
                return call(graph, rows[0], cancellation)
            calls = [self._callers.submit(call, graph, row, cancellation) for row in rows]
            wait(calls)
        return joined([each.result() for each in calls])

    def close(self) -> None:
        """Close the graph."""
        with self._lock:
            self._closed = True
            for graph in self._graphs.values():
                graph.close()
            self._graphs.clear()

    @contextmanager
    def _use(self, rows: int) -> Iterator[Graph]:
        """Give the graph with the threads that a row has where so many are asked for."""
        threads = threads_of_a_row(rows, self._threads)
        with self._lock:
            if self._closed:
                raise GraphError(f"{self._role} was closed; make a new pipeline")
            if threads not in self._graphs:
                self._drop_unused()
                self._graphs[threads] = self._load(threads)
            graph = self._graphs[threads]
            self._users[threads] += 1
        try:
            yield graph
        finally:
            with self._lock:
                self._users[threads] -= 1
                if len(self._graphs) > 1:
                    self._drop_unused()

    def _drop_unused(self) -> None:
        for threads in [threads for threads in self._graphs if not self._users[threads]]:
            self._graphs.pop(threads).close()


def threads_of_a_row(rows: int, threads: int) -> int:
    """Return how many of these threads an engine needs for each of so many rows: one that calls it, which works too,
    and those that the callers share.
    """
    return threads - min(rows, threads) + 1
