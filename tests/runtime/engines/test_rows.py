"""Graphs of batch 1, called once for each row."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry, TensorSpec
from amused_edge.runtime.engines import call
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.rows import OneByOne, has_static_batch
from amused_edge.runtime.errors import GraphError


class Running:
    """A graph of batch 1 with two inputs and two outputs; it counts its calls."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.closed = False

    def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, NDArray[Any]]:
        assert [len(array) for array in inputs.values()] == [1] * len(inputs)
        self.shapes.append(inputs["a"].shape)
        return {"sum": inputs["a"] + inputs["b"], "ranks": inputs["a"].argsort(-1)}

    def close(self) -> None:
        self.closed = True


A = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
B = np.arange(3, dtype=np.float32)[:, None]


def test_three_rows_are_three_calls() -> None:
    graph = Running()
    found = OneByOne("denoiser", graph)({"a": A, "b": B})
    assert graph.shapes == [(1, 4)] * 3
    assert list(found) == ["sum", "ranks"]
    assert np.array_equal(found["sum"], A + B)
    assert np.array_equal(found["ranks"], A.argsort(-1))
    assert [array.dtype for array in found.values()] == [np.float32, np.int64]


def test_one_row_is_one_call() -> None:
    graph = Running()
    found = OneByOne("denoiser", graph)({"a": A[:1], "b": B[1:2]})
    assert graph.shapes == [(1, 4)]
    assert np.array_equal(found["sum"], A[:1] + 1)


def test_lists_are_arrays_too() -> None:
    found = OneByOne("denoiser", Running())({"a": [[1, 2], [4, 3]], "b": [[10], [20]]})  # type: ignore[dict-item]
    assert found["sum"].tolist() == [[11, 12], [24, 23]]


@pytest.mark.parametrize(
    ("inputs", "shapes"),
    [
        ({"a": A, "b": B[:2]}, "{'a': [3, 4], 'b': [2, 1]}"),
        ({"a": A, "b": B[:1]}, "{'a': [3, 4], 'b': [1, 1]}"),  # a row is not repeated in silence
        ({"a": A[:0], "b": B[:0]}, "{'a': [0, 4], 'b': [0, 1]}"),
        ({"a": A, "b": np.float32(1)}, "{'a': [3, 4], 'b': []}"),
        ({"a": np.float32(1), "b": np.float32(1)}, "{'a': [], 'b': []}"),
        ({}, "{}"),
    ],
)
def test_other_row_counts_are_refused(inputs: dict[str, Any], shapes: str) -> None:
    graph = Running()
    with pytest.raises(GraphError) as error:
        OneByOne("denoiser", graph)(inputs)
    assert str(error.value) == f"denoiser takes inputs with the same number of rows, one or more; it got {shapes}"
    assert graph.shapes == []


def test_closing_closes_the_graph() -> None:
    graph = Running()
    OneByOne("denoiser", graph).close()
    assert graph.closed


@pytest.mark.parametrize(
    ("shapes", "static"),
    [
        ([(1, 77)], True),
        ([(1, 16, 16), (1, 5)], True),
        ([("batch", 77)], False),
        ([(2, 77)], False),
        ([(1, 5), ("batch", 5)], False),
        ([()], False),
    ],
)
def test_a_static_batch_is_one_in_every_input(shapes: list[tuple[int | str, ...]], static: bool) -> None:
    inputs = tuple(TensorSpec(f"x{i}", "float32", shape) for i, shape in enumerate(shapes))
    entry = GraphEntry((FileEntry("model", 1, "0"),), inputs, (), "float32", "float32")
    assert has_static_batch(entry) is static


def test_a_method_of_the_same_name_does_not_make_a_graph_interruptible() -> None:
    """A graph with a `run` of another meaning was taken for one whose engine can stop; now there is one call."""
    given: list[Any] = []

    class Graph:
        def __call__(self, inputs: Any, cancellation: Any = None) -> dict[str, NDArray[Any]]:
            given.append(cancellation)
            return {"y": inputs["a"]}

        def run(self, inputs: Any) -> dict[str, NDArray[Any]]:
            raise AssertionError

        def close(self) -> None:
            pass

    cancellation = Cancellation()
    found = call(OneByOne("denoiser", Graph()), {"a": np.zeros((2, 3))}, cancellation)
    assert found["y"].shape == (2, 3)
    assert given == [cancellation, cancellation]
