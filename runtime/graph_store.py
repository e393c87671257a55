"""Keeps a pipeline's graphs: loaded at first use, shared by threads, dropped at the end or right after use."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph
from amused_edge.runtime.errors import GraphError

Load = Callable[[Bundle, str, EngineOptions], Graph]
"""Loads the graph of a role; whoever measures may put graphs of its own in place of the engine's."""


class GraphStore:
    """The graphs of one bundle.

    Parameters
    ----------
    engine
        With `keep_graphs` a graph stays once it is loaded; without, it goes when its last user leaves.
    """

    def __init__(self, bundle: Bundle, engine: EngineOptions, load: Load) -> None:
        self._bundle = bundle
        self._engine = engine
        self._load = load
        self._graphs: dict[str, Graph] = {}
        self._kept: set[str] = set()
        self._users: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._closed = False

    def keep(self, role: str) -> Graph:
        """Return the graph of a role, which stays until the store is closed."""
        with self._lock:
            self._kept.add(role)
            return self._loaded(role)

    @contextmanager
    def use(self, role: str) -> Iterator[Graph]:
        """Give the graph of a role for the length of a block."""
        with self._lock:
            graph = self._loaded(role)
            self._users[role] += 1
        try:
            yield graph
        finally:
            with self._lock:
                self._users[role] -= 1
                if not self._engine.keep_graphs and not self._users[role] and role not in self._kept:
                    self._drop(role)

    def close(self) -> None:
        """Drop all graphs; no more are to be had."""
        with self._lock:
            self._closed = True
            for role in list(self._graphs):
                self._drop(role)

    def _loaded(self, role: str) -> Graph:
        if self._closed:
            raise GraphError("the pipeline was closed; make a new one")
        if role not in self._graphs:
            self._graphs[role] = self._load(self._bundle, role, self._engine)
        return self._graphs[role]

    def _drop(self, role: str) -> None:
        graph = self._graphs.pop(role, None)
        if graph is not None:
            graph.close()
