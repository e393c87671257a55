"""Looks into the graphs of an ONNX bundle while it draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.calibration import Observer, draw
from amused_edge.quantization.onnx.session import MemoryGraph
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.quantization.rounding.ranges import Range
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.rows import of_any_batch


@dataclass
class Watch:
    """What to measure of one graph.

    Attributes
    ----------
    products
        Names of values whose X^T X (over all but the last axis) is summed up.
    ranges
        Names of values whose range is observed.
    """

    products: set[str] = field(default_factory=set)
    ranges: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Observations:
    """What was measured of one graph: value name -> X^T X (K, K) float64, and -> range."""

    products: dict[str, NDArray[np.float64]]
    ranges: dict[str, Range]


def observe(
    bundle: Bundle,
    graphs: Mapping[str, tuple[ir.Model, Watch]],
    calibration: Calibration,
    prompts: Sequence[str],
    *,
    on_picture: Callable[[int, int], None] | None = None,
) -> dict[str, Observations]:
    """Draw pictures with a bundle and watch values of its graphs.

    Parameters
    ----------
    graphs
        Role -> its graph, whose values have the names in `Watch`, and what to watch.
    prompts
        See `draw`.
    """
    observers = {role: Observer(watch.products, watch.ranges) for role, (_, watch) in graphs.items()}

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
        if role not in graphs:
            return load_graph(bundle, role, options)
        model, watch = graphs[role]
        graph = MemoryGraph(bundle, role, model, watch.products | watch.ranges)
        return of_any_batch(role, bundle.graph(role), _WatchedGraph(bundle, role, graph, observers[role]))

    draw(bundle, graphs, load, calibration, prompts, on_picture=on_picture)
    return {role: Observations(each.products(), each.ranges(calibration)) for role, each in observers.items()}


class _WatchedGraph:
    """A graph that shows its inner values to an observer; a `Graph` otherwise."""

    def __init__(self, bundle: Bundle, role: str, graph: MemoryGraph, observer: Observer) -> None:
        self._graph = graph
        self._outputs = [spec.name for spec in bundle.graph(role).outputs]
        self._observer = observer

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        values = self._graph.all_values(inputs)
        self._observer.add(values)
        return {name: values[name] for name in self._outputs}

    def close(self) -> None:
        """Keep what was observed."""
