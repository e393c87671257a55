"""The one shape that every engine has: named NumPy arrays in, named NumPy arrays out."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.kept_rows import with_all_rows
from amused_edge.runtime.errors import GraphError

Arrays = Mapping[str, NDArray[Any]]


class Graph(Protocol):
    """A loaded graph."""

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph.

        Parameters
        ----------
        cancellation
            Stops the call where the engine can; `call` stops before and after it in any case.

        Raises
        ------
        GraphError
            An input is missing, unknown, or of another shape or kind.
        GenerationCancelledError
            `cancellation` asked for it.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds; the graph cannot be called any more."""
        ...


def call(graph: Graph, inputs: Arrays, cancellation: Cancellation | None) -> dict[str, NDArray[Any]]:
    """Run a graph that may be cancelled: within the call where its engine can, else around it."""
    if cancellation is None:
        return graph(inputs)
    cancellation.check()
    outputs = graph(inputs, cancellation)
    cancellation.check()
    return outputs


def prepare_inputs(role: str, entry: GraphEntry, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Check inputs against the manifest and give each the dtype that it states; where they say nothing of rows, all are
    computed.
    """
    inputs = with_all_rows(entry, inputs)
    expected = {spec.name for spec in entry.inputs}
    if set(inputs) != expected:
        raise GraphError(f"{role} takes {sorted(expected)}, it was given {sorted(inputs)}")
    prepared = {}
    batch: dict[int | str, int] = {}
    for spec in entry.inputs:
        array = np.asarray(inputs[spec.name])
        fits = array.ndim == len(spec.shape) and all(
            size == (side if isinstance(side, int) else batch.setdefault(side, size))
            for size, side in zip(array.shape, spec.shape, strict=True)
        )
        if not fits:
            raise GraphError(f"{role}: {spec.name} has shape {list(array.shape)}, the graph takes {list(spec.shape)}")
        if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            raise GraphError(f"{role}: {spec.name} is {array.dtype}, the graph takes {spec.dtype}")
        prepared[spec.name] = np.ascontiguousarray(array, dtype=spec.dtype)
    return prepared


def hides_floats(entry: GraphEntry) -> bool:
    """Say whether a graph returns whole numbers only."""
    return all(np.issubdtype(np.dtype(spec.dtype), np.integer) for spec in entry.outputs)


def check_finite(what: str, values: NDArray[Any]) -> None:
    """Raise `GraphError`, which says what computed them, if floats that become whole numbers are not finite."""
    if not np.isfinite(values).all():
        raise GraphError(
            f"{what}: values that become whole numbers are not finite (NaN or infinity); the weights are damaged, or "
            "their precision is too small"
        )
