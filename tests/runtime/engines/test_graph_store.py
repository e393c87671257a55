"""Graphs that are loaded, shared, kept and dropped; and values that are remembered."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from amused_edge.runtime.drawing.remembered import Remembered
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.graph_store import GraphStore
from amused_edge.runtime.errors import GraphError

BUNDLE: Any = None


class Loader:
    """Loads graphs that only know whether they are closed; may fail, or wait."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []
        self.fails = 0
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, bundle: Any, role: str, options: EngineOptions) -> Any:
        self.entered.set()
        assert self.gate.wait(30)
        if self.fails:
            self.fails -= 1
            raise GraphError(f"cannot load {role}")
        loader = self

        class Loaded:
            closed = False

            def __call__(self, inputs: Any, cancellation: Any = None) -> Any:
                return {}

            def close(self) -> None:
                self.closed = True

        loader.graphs.append(Loaded())
        return loader.graphs[-1]


def test_a_graph_is_kept_or_dropped_when_its_last_user_leaves() -> None:
    load = Loader()
    keeping, dropping = GraphStore(BUNDLE, EngineOptions(), load), GraphStore(BUNDLE, EngineOptions.low_memory(), load)
    with keeping.use("denoiser") as first:
        pass
    with keeping.use("denoiser") as again:
        assert again is first
    with dropping.use("denoiser") as outer:
        with dropping.use("denoiser") as inner:
            assert inner is outer
        assert not load.graphs[1].closed
    assert load.graphs[1].closed
    kept = dropping.keep("denoiser")
    with dropping.use("denoiser") as third:
        assert third is kept
    assert not load.graphs[2].closed
    keeping.close()
    dropping.close()
    assert [graph.closed for graph in load.graphs] == [True] * 3


def test_a_load_that_fails_is_tried_again_by_the_next() -> None:
    load = Loader()
    load.fails = 1
    store = GraphStore(BUNDLE, EngineOptions(), load)
    with pytest.raises(GraphError, match="cannot load denoiser"), store.use("denoiser"):
        pass
    with store.use("denoiser"):
        assert len(load.graphs) == 1


def test_a_graph_is_loaded_once_for_several_threads_and_others_go_on() -> None:
    load = Loader()
    load.gate.clear()
    store = GraphStore(BUNDLE, EngineOptions(), load)

    def use(role: str) -> Any:
        with store.use(role) as graph:
            return graph

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(use, "denoiser") for _ in range(3)]
        assert load.entered.wait(30)
        load.entered.clear()
        other = pool.submit(use, "image_decoder")
        assert load.entered.wait(30)  # it does not wait for the denoiser
        load.gate.set()
        assert len({id(run.result(30)) for run in waiting}) == 1
        other.result(30)
    assert len(load.graphs) == 2


def test_closing_while_a_graph_is_loaded_leaves_nothing() -> None:
    load = Loader()
    load.gate.clear()
    store = GraphStore(BUNDLE, EngineOptions(), load)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(store.keep, "denoiser")
        assert load.entered.wait(30)
        store.close()
        load.gate.set()
        with pytest.raises(GraphError, match="closed"):
            run.result(30)
    assert [graph.closed for graph in load.graphs] == [True]


def test_what_is_used_least_recently_is_forgotten() -> None:
    remembered = Remembered[int](2)
    for key, value in (("a", 1), ("b", 2)):
        assert remembered.put(key, value) == value
    assert remembered.get("a") == 1
    remembered.put("c", 3)
    assert (remembered.get("a"), remembered.get("b"), remembered.get("c")) == (1, None, 3)
    remembered.close()
    assert remembered.put("d", 4) == 4
    assert (remembered.get("a"), remembered.get("d")) == (None, None)
    sized = Remembered[int](3)
    for key, size in (("a", 2), ("b", 1), ("c", 2), ("d", 4)):
        sized.put(key, size, size)
        assert [key for key in "abcd" if sized.get(key)] == {"a": ["a"], "b": ["a", "b"], "c": ["b", "c"], "d": []}[key]
    nothing = Remembered[int](0)
    nothing.put("a", 1)
    assert nothing.get("a") is None


# --- Loading ahead.


def ended(store: GraphStore) -> None:
    """Wait until the store's thread is done."""
    for thread in threading.enumerate():
        if thread.name == "load graphs":
            thread.join(30)
            assert not thread.is_alive()


def test_graphs_that_are_loaded_ahead_are_there_when_they_are_used() -> None:
    load = Loader()
    store = GraphStore(BUNDLE, EngineOptions(), load)
    store.load_ahead("conditioner", "denoiser")
    with store.use("denoiser") as used:
        pass
    ended(store)
    assert len(load.graphs) == 2
    assert used in load.graphs
    store.load_ahead("conditioner", "denoiser")
    assert len(load.graphs) == 2


def test_what_fails_ahead_shows_when_it_is_used() -> None:
    load = Loader()
    store = GraphStore(BUNDLE, EngineOptions(), load)
    load.fails = 2
    store.load_ahead("denoiser")
    ended(store)
    with pytest.raises(GraphError, match="cannot load denoiser"), store.use("denoiser"):
        pass
    with store.use("denoiser"):
        assert len(load.graphs) == 1


def test_closing_waits_for_what_is_loaded_ahead_and_drops_it() -> None:
    load = Loader()
    store = GraphStore(BUNDLE, EngineOptions(), load)
    load.gate.clear()
    store.load_ahead("conditioner", "denoiser")
    assert load.entered.wait(30)
    closing = threading.Thread(target=store.close)
    closing.start()
    load.gate.set()
    closing.join(30)
    assert not closing.is_alive()
    assert all(graph.closed for graph in load.graphs)
    assert len(load.graphs) <= 1  # the second was not begun
    store.load_ahead("denoiser")
    assert len(load.graphs) <= 1


def test_with_little_memory_nothing_is_loaded_ahead() -> None:
    load = Loader()
    GraphStore(BUNDLE, EngineOptions.low_memory(), load).load_ahead("denoiser")
    assert not load.entered.is_set()
