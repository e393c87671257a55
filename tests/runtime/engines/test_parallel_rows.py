"""Rows of a batch at the same time: order, threads, what is loaded when, and what goes wrong."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.onnx import session as onnx_runtime
from amused_edge.runtime.engines.onnx.session import OnnxRuntimeGraph
from amused_edge.runtime.engines.parallel_rows import ParallelRows, threads_of_a_row
from amused_edge.runtime.engines.rows import OneByOne
from amused_edge.runtime.errors import GenerationCancelledError, GraphError

EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
Compute = Callable[[NDArray[Any]], NDArray[Any]]

TIMEOUT = 60


def double(x: NDArray[Any]) -> NDArray[Any]:
    return 2 * x


class Loader:
    """Loads graphs y = compute(x) of batch 1; tells with how many threads, and which are open."""

    def __init__(self, compute: Compute = double) -> None:
        self.compute = compute
        self.loaded: list[int] = []
        self.open: list[int] = []

    def __call__(self, threads: int) -> "Loaded":
        self.loaded.append(threads)
        self.open.append(threads)
        return Loaded(self, threads)


class Loaded:
    def __init__(self, loader: Loader, threads: int) -> None:
        self._loader, self._threads = loader, threads

    def __call__(self, inputs: Mapping[str, NDArray[Any]], cancellation: Any = None) -> dict[str, NDArray[Any]]:
        if self._threads not in self._loader.open:
            raise GraphError("denoiser was closed; make a new pipeline")
        assert inputs["x"].shape == (1, 2)
        return {"y": self._loader.compute(inputs["x"])}

    def close(self) -> None:
        if self._threads in self._loader.open:
            self._loader.open.remove(self._threads)


X = np.arange(10.0).reshape(5, 2)


def test_two_rows_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2, timeout=TIMEOUT)

    def met(x: NDArray[Any]) -> NDArray[Any]:
        both.wait()
        return 2 * x

    assert np.array_equal(ParallelRows("denoiser", Loader(met), 2, 2)({"x": X[:2]})["y"], 2 * X[:2])


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("threads", [2, 4])
def test_rows_come_back_in_order(rows: int, threads: int) -> None:
    assert np.array_equal(ParallelRows("denoiser", Loader(), threads, 2)({"x": X[:rows]})["y"], 2 * X[:rows])


@pytest.mark.parametrize(
    ("rows", "threads", "each"),
    [(1, 2, 2), (2, 2, 1), (5, 2, 1), (1, 4, 4), (2, 4, 3), (4, 4, 1), (2, 1, 1), (1, 1, 1)],
)
def test_threads_are_callers_and_what_these_share(rows: int, threads: int, each: int) -> None:
    assert threads_of_a_row(rows, threads) == each


def test_another_number_of_rows_at_a_time_takes_the_place_of_the_first() -> None:
    loader = Loader()
    graph = ParallelRows("denoiser", loader, 2, 2)
    assert loader.loaded == [1]
    for rows in (2, 3, 2, 1, 1, 2):
        graph({"x": X[:rows]})
        assert len(loader.open) == 1
    assert loader.loaded == [1, 2, 1]
    graph.close()
    graph.close()
    assert loader.open == []
    with pytest.raises(GraphError, match=r"^denoiser was closed; make a new pipeline$"):
        graph({"x": X[:1]})


def test_what_callers_asked_for_at_the_same_time_stays() -> None:
    """Else each would load its own again after the other's every call."""
    inside, leave = threading.Semaphore(0), threading.Event()

    def slow(x: NDArray[Any]) -> NDArray[Any]:
        inside.release()
        assert leave.wait(TIMEOUT)
        return 2 * x

    loader = Loader(slow)
    graph = ParallelRows("denoiser", loader, 2, 2)
    found: dict[int, NDArray[Any]] = {}
    callers = [
        threading.Thread(target=lambda rows=rows: found.update({rows: graph({"x": X[:rows]})["y"]})) for rows in (1, 2)
    ]
    for caller in callers:
        caller.start()
    for _ in range(3):
        assert inside.acquire(timeout=TIMEOUT)
    leave.set()
    for caller in callers:
        caller.join(TIMEOUT)
    assert np.array_equal(found[1], 2 * X[:1])
    assert np.array_equal(found[2], 2 * X[:2])
    assert sorted(loader.open) == [1, 2]
    loads = len(loader.loaded)
    for rows in (1, 2, 1, 2):
        graph({"x": X[:rows]})
    assert len(loader.loaded) == loads
    graph.close()
    assert loader.open == []


@pytest.mark.parametrize("bad", range(3))
def test_what_a_row_raises_comes_when_all_threads_have_ended(bad: int) -> None:
    running = []

    def fail(x: NDArray[Any]) -> NDArray[Any]:
        running.append(threading.current_thread())
        if np.array_equal(x[0], X[bad]):
            raise GraphError(f"row {bad} failed")
        return x

    with pytest.raises(GraphError, match=f"row {bad} failed"):
        ParallelRows("denoiser", Loader(fail), 2, 2)({"x": X})
    assert threading.current_thread() in running
    assert not any(thread.is_alive() for thread in running if thread is not threading.current_thread())


def test_a_load_that_fails_can_be_followed_by_another() -> None:
    loader = Loader()

    def load(threads: int) -> Loaded:
        if threads == 2:
            raise GraphError("no memory")
        return loader(threads)

    graph = ParallelRows("denoiser", load, 2, 2)
    with pytest.raises(GraphError, match="no memory"):
        graph({"x": X[:1]})
    assert np.array_equal(graph({"x": X[:2]})["y"], 2 * X[:2])


def test_closing_while_rows_run_ends_those_that_have_not_begun() -> None:
    graphs: list[ParallelRows] = []
    both = threading.Barrier(2, timeout=TIMEOUT)

    def close(x: NDArray[Any]) -> NDArray[Any]:
        both.wait()
        graphs[0].close()
        return x

    loader = Loader(close)
    graphs.append(ParallelRows("denoiser", loader, 2, 2))
    with pytest.raises(GraphError, match="denoiser was closed"):
        graphs[0]({"x": X})
    assert loader.open == []


def test_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(GraphError, match="denoiser takes inputs with the same number of rows, one or more; it got"):
        ParallelRows("denoiser", Loader(), 2, 2)({"x": X, "z": X[:2]})


def test_cancelling_reaches_all_rows() -> None:
    """Two threads have begun two of five rows; none begins another."""
    cancellation, both, begun = Cancellation(), threading.Barrier(2, timeout=TIMEOUT), []

    def cancel(x: NDArray[Any]) -> NDArray[Any]:
        begun.append(x)
        both.wait()
        cancellation.cancel()
        both.wait()
        return x

    with pytest.raises(GenerationCancelledError):
        ParallelRows("denoiser", Loader(cancel), 2, 2)({"x": X}, cancellation)
    assert len(begun) == 2


# --- Which graphs are run so.


@pytest.fixture
def one_row_bundle(small_bundle: Path, edit_manifest: EditManifest) -> Bundle:
    """The small bundle with a denoiser y = 2 x that takes one row (1, 2) at a time."""
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content = model.SerializeToString()
    (small_bundle / "denoiser.onnx").write_bytes(content)

    def change(manifest: dict[str, Any]) -> None:
        entry = manifest["graphs"]["denoiser"]
        entry["files"] = [{"path": "denoiser.onnx", "bytes": len(content), "sha256": ""}]
        for spec in (*entry["inputs"], *entry["outputs"]):
            spec["shape"] = [1, 2]

    edit_manifest(small_bundle, change)
    return Bundle.open(small_bundle)


def test_several_threads_run_rows_at_the_same_time(one_row_bundle: Bundle) -> None:
    graph = load_graph(one_row_bundle, "denoiser", EngineOptions(threads=2))
    assert isinstance(graph, ParallelRows)
    assert np.array_equal(graph({"x": X.astype(np.float32)})["y"], 2 * X)


def test_one_thread_runs_them_one_by_one(one_row_bundle: Bundle) -> None:
    graph = load_graph(one_row_bundle, "denoiser", EngineOptions(threads=1))
    assert isinstance(graph, OneByOne)
    assert np.array_equal(graph({"x": X.astype(np.float32)})["y"], 2 * X)


def test_so_does_a_provider_whose_threads_are_not_the_cpus(
    one_row_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_runtime, "OnnxRuntimeGraph", lambda *_: Loader()(0))
    options = EngineOptions(threads=2, providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    assert isinstance(load_graph(one_row_bundle, "denoiser", options), OneByOne)


def test_a_graph_of_any_batch_is_left_alone(small_bundle: Path) -> None:
    graph = load_graph(Bundle.open(small_bundle), "denoiser", EngineOptions(threads=2))
    assert isinstance(graph, OnnxRuntimeGraph)
