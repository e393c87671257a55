"""Lets a graph that takes one row at a time take several, by calling it once per row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, Graph, call
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.graph_entry import GraphEntry


def has_static_batch(entry: GraphEntry) -> bool:
    """Say whether a graph takes one row only."""
    return all(spec.shape[:1] == (1,) for spec in entry.inputs)


class OneByOne:
    """A graph of batch 1 called for each row of its inputs; the outputs are put together again."""

    def __init__(self, role: str, graph: Graph) -> None:
        self._role = role
        self._graph = graph

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        return self._rows(inputs, None)

    def run(self, inputs: Arrays, cancellation: Cancellation) -> dict[str, NDArray[Any]]:
        """Run the graph until cancelled, see `InterruptibleGraph`."""
        return self._rows(inputs, cancellation)

    def _rows(self, inputs: Arrays, cancellation: Cancellation | None) -> dict[str, NDArray[Any]]:
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        counts = {len(array) if array.ndim else 0 for array in arrays.values()}
        if len(counts) != 1 or 0 in counts:
            shapes = {name: list(array.shape) for name, array in arrays.items()}
            raise GraphError(f"{self._role} takes inputs with the same number of rows, one or more; it got {shapes}")
        rows = [
            call(self._graph, {name: array[i : i + 1] for name, array in arrays.items()}, cancellation)
            for i in range(counts.pop())
        ]
        return rows[0] if len(rows) == 1 else {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def close(self) -> None:
        """Close the graph."""
        self._graph.close()
