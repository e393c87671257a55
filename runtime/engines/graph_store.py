"""Keeps a pipeline's graphs: loaded at first use, shared by threads, dropped at the end or right after use."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.system.malloc import give_back, keep_no_large_blocks

Load = Callable[[Bundle, str, EngineOptions], Graph]
"""Loads the graph of a role; whoever measures may put graphs of its own in place of the engine's."""

_CLOSED = "the pipeline was closed; make a new one"


class GraphStore:
    """The graphs of one bundle.

    Parameters
    ----------
    engine
        With `keep_graphs` a graph stays once it is loaded; without, it goes when its last user leaves.

    Attributes
    ----------
    graphs_stay
        Which of the two it is.
    """

    def __init__(self, bundle: Bundle, engine: EngineOptions, load: Load) -> None:
        self._bundle = bundle
        self._engine = engine
        self.graphs_stay = engine.keep_graphs
        self._load = load
        self._graphs: dict[str, Graph] = {}
        self._kept: set[str] = set()
        self._users: Counter[str] = Counter()
        self._lock = threading.RLock()  # a generator that nobody holds may be ended, and leave, at any allocation
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._ahead: threading.Thread | None = None
        self._closed = False
        if not self.graphs_stay:
            keep_no_large_blocks()

    def keep(self, role: str) -> Graph:
        """Return the graph of a role, which stays until the store is closed."""
        with self.use(role) as graph:
            self._kept.add(role)
            return graph

    @contextmanager
    def use(self, role: str) -> Iterator[Graph]:
        """Give the graph of a role for the length of a block."""
        graph = self._acquire(role)
        try:
            yield graph
        finally:
            self._release(role)

    def load_ahead(self, *roles: str) -> None:
        """Begin to load graphs that will soon be used, in a thread; where graphs are not kept, do nothing.

        What goes wrong there shows when they are used.
        """
        with self._lock:
            missing = [role for role in roles if role not in self._graphs]
            loading = self._ahead is not None and self._ahead.is_alive()
            if not self.graphs_stay or not missing or loading or self._closed:
                return
            self._ahead = threading.Thread(target=self._load_each, args=(missing,), name="load graphs", daemon=True)
            self._ahead.start()

    def _load_each(self, roles: list[str]) -> None:
        with suppress(Exception):
            for role in roles:
                with self.use(role):
                    pass

    def close(self) -> None:
        """Drop all graphs; no more are to be had."""
        with self._lock:
            self._closed = True
            graphs, self._graphs = self._graphs, {}
            ahead = self._ahead
        if ahead is not None and ahead is not threading.current_thread():
            ahead.join()
        for graph in graphs.values():
            graph.close()
        del graphs
        give_back()

    def _acquire(self, role: str) -> Graph:
        """Only one thread loads a role; the others go on, and those that want it wait."""
        with self._lock:
            loading = self._loading[role]
        with loading:
            graph = self._joined(role)
            return self._registered(role, self._load(self._bundle, role, self._engine)) if graph is None else graph

    def _joined(self, role: str) -> Graph | None:
        """Return a role's graph with one user more, or None where it is not loaded."""
        with self._lock:
            if self._closed:
                raise GraphError(_CLOSED)
            graph = self._graphs.get(role)
            if graph is not None:
                self._users[role] += 1
            return graph

    def _registered(self, role: str, loaded: Graph) -> Graph:
        """Return a graph that was just loaded, which others find from now on; its loader is its first user."""
        with self._lock:
            if not self._closed:
                self._graphs[role] = loaded
                self._users[role] += 1
                return loaded
        loaded.close()
        raise GraphError(_CLOSED)

    def _release(self, role: str) -> None:
        with self._lock:
            self._users[role] -= 1
            unused = not self.graphs_stay and not self._users[role] and role not in self._kept
            graph = self._graphs.pop(role, None) if unused else None
            gone = graph is not None or (self._closed and not self._users[role])
        if graph is not None:
            graph.close()
            del graph
        if gone:
            give_back()
