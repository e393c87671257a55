"""Runs the parent bundle on prompts and watches what goes through its graphs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from amused_edge.quantization.calibration import draw, second_moments
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.onnx.session import MemoryGraph
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.quantization.rounding.ranges import Range, RangeObserver
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.errors import quoted


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
        One or more; if there are fewer than the calibration asks for, they are drawn again with other noise.
    """
    watchers = {role: _WatchedGraph(bundle, role, *graph) for role, graph in graphs.items()}
    draw(bundle, watchers, calibration, prompts, EngineOptions(remembered_prompts=0), on_picture=on_picture)
    return {role: watcher.observations(calibration) for role, watcher in watchers.items()}


class _WatchedGraph:
    """A graph that shows its inner values to observers; a `Graph` otherwise."""

    def __init__(self, bundle: Bundle, role: str, model: ir.Model, watch: Watch) -> None:
        self._graph = MemoryGraph(bundle, role, model, watch.products | watch.ranges)
        self._outputs = [spec.name for spec in bundle.graph(role).outputs]
        self._products: dict[str, NDArray[np.float64] | float] = dict.fromkeys(watch.products, 0.0)
        self._ranges = {name: RangeObserver() for name in watch.ranges}

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        values = self._graph.all_values(inputs)
        for name in self._products:
            self._products[name] = self._products[name] + second_moments(values[name])
        for name, observer in self._ranges.items():
            observer.add(values[name])
        return {name: values[name] for name in self._outputs}

    def observations(self, calibration: Calibration) -> Observations:
        ranges = {}
        for name, observer in self._ranges.items():
            try:
                ranges[name] = observer.range(calibration.ranges)
            except ValueError as error:
                raise QuantizationError(f"calibration cannot use the value {quoted(name)}: {error}") from error
        return Observations({name: np.asarray(product) for name, product in self._products.items()}, ranges)

    def close(self) -> None:
        """Keep what was observed."""
