"""Lets a graph that takes one row at a time take several, by calling it once per row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, Graph, call
from amused_edge.runtime.errors import GraphError


def has_static_batch(entry: GraphEntry) -> bool:
    """Say whether a graph takes one row only."""
    return all(spec.shape[:1] == (1,) for spec in entry.inputs)


def of_any_batch(role: str, entry: GraphEntry, graph: Graph) -> Graph:
    """Return a graph of any batch: itself, or where it takes one row only, `OneByOne`."""
    return OneByOne(role, graph) if has_static_batch(entry) else graph


class OneByOne:
    """A graph of batch 1 called for each row of its inputs; the outputs are put together again."""

    def __init__(self, role: str, graph: Graph) -> None:
        self._role = role
        self._graph = graph

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        return joined([call(self._graph, row, cancellation) for row in split(self._role, inputs)])

    def close(self) -> None:
        """Close the graph."""
        self._graph.close()


def split(role: str, inputs: Arrays) -> list[Arrays]:
    """Return the inputs of each row, batch 1.

    Raises
    ------
    GraphError
        They have not all the same number of rows, or none.
    """
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        raise GraphError(f"{role} takes inputs with the same number of rows, one or more; it got {shapes}")
    return [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(counts.pop())]


def joined(rows: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the outputs of one or more rows as those of one batch."""
    return rows[0] if len(rows) == 1 else {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
