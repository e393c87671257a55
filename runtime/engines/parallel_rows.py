"""Runs the rows of a batch at the same time, each on a core of its own: the two branches of guidance.

Threads that share an operator wait for each other at its end, and each reads what the other wrote, which without a
common cache takes a third of a call. Rows share nothing but weights.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, Graph, call
from amused_edge.runtime.engines.rows import RowByRow
from amused_edge.runtime.errors import GraphError


class ParallelRows(RowByRow):
    """A graph of batch 1, called for as many rows at a time as there are threads; the outputs are put together again.

    An engine's threads are chosen when it loads a graph, so another number of rows at a time may need the graph to be
    loaded anew: from two threads, one for each of two rows, to two for one row. It is held twice only once several
    callers have asked for different numbers at the same time.

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
        super().__init__(role)
        self._load = load
        self._threads = threads
        self._graphs: dict[int, Graph] = {}
        self._users: Counter[int] = Counter()
        self._lock = threading.RLock()  # whoever is in it may, at any allocation, end a generator that closes graphs
        self._closed = False
        with self._use(rows):
            pass

    def some(
        self, rows: Sequence[Arrays], of: int, cancellation: Cancellation | None = None
    ) -> list[dict[str, NDArray[Any]]]:
        """Run some rows, see `RowByRow`: with the threads that each has in the whole batch, so that nothing is loaded
        for them and no sum is split otherwise.
        """
        with self._use(of) as graph:
            return _at_the_same_time(lambda row: call(graph, row, cancellation), rows, self._threads)

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
            self._check_open()
            graph = self._graphs.get(threads)
            if graph is None:
                for other in [other for other in self._graphs if not self._users[other]]:
                    self._graphs.pop(other).close()
                graph = self._load(threads)
                self._check_open()
                self._graphs[threads] = graph
            self._users[threads] += 1
        try:
            yield graph
        finally:
            with self._lock:
                self._users[threads] -= 1

    def _check_open(self) -> None:
        if self._closed:
            raise GraphError(f"{self._role} was closed; make a new pipeline")


def threads_of_a_row(rows: int, threads: int) -> int:
    """Return how many of these threads an engine needs for each of so many rows: one that calls it, which works too,
    and those that the callers share.
    """
    return threads - min(rows, threads) + 1


def _at_the_same_time(
    work: Callable[[Arrays], dict[str, NDArray[Any]]], rows: Sequence[Arrays], threads: int
) -> list[dict[str, NDArray[Any]]]:
    """Return the work's results for all rows, done in this thread and in others; they have ended when it returns.

    A thread stops at its first error, and the first row's that has one is raised.
    """
    results: list[dict[str, NDArray[Any]] | None] = [None] * len(rows)
    errors: dict[int, BaseException] = {}
    count = min(len(rows), threads)

    def some(first: int) -> None:
        for place in range(first, len(rows), count):
            try:
                results[place] = work(rows[place])
            except BaseException as error:
                errors[place] = error
                return

    others = [threading.Thread(target=some, args=(first,), name="row") for first in range(1, count)]
    try:
        for other in others:
            other.start()
        some(0)
    finally:
        for other in others:
            if other.ident is not None:
                other.join()
    if errors:
        raise errors[min(errors)]
    return [result for result in results if result is not None]
