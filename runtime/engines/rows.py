"""Lets a graph that takes one row at a time take several, by calling it once per row."""

from abc import ABC, abstractmethod
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


class RowByRow(ABC):
    """A graph of any batch that computes each row by itself: what it says of one does not depend on the others."""

    def __init__(self, role: str) -> None:
        self._role = role

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        rows = split(self._role, inputs)
        return joined(self.some(rows, len(rows), cancellation))

    @abstractmethod
    def some(
        self, rows: Sequence[Arrays], of: int, cancellation: Cancellation | None = None
    ) -> list[dict[str, NDArray[Any]]]:
        """Return the outputs of some rows, batch 1 each, to the bit as they are in a batch of `of` rows."""

    @abstractmethod
    def close(self) -> None:
        """Close the graph."""


class OneByOne(RowByRow):
    """A graph of batch 1 called for each row of its inputs; the outputs are put together again."""

    def __init__(self, role: str, graph: Graph) -> None:
        super().__init__(role)
        self._graph = graph

    def some(
        self, rows: Sequence[Arrays], of: int, cancellation: Cancellation | None = None
    ) -> list[dict[str, NDArray[Any]]]:
        """Run some rows, see `RowByRow`."""
        return [call(self._graph, row, cancellation) for row in rows]

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
