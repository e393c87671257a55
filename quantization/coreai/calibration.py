"""Looks into the packages of a Core AI bundle while it draws: what weights meet is made an output of a copy."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.calibration import Observer, draw
from amused_edge.quantization.coreai.apply import Observations
from amused_edge.quantization.coreai.package import Package
from amused_edge.quantization.coreai.plan import GraphPlan
from amused_edge.quantization.coreai.weights import find_weights
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, Graph, load_graph
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreai.package import package, package_name
from amused_edge.runtime.engines.coreai.process import PackageProcess
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.rows import of_any_batch


def observe(
    bundle: Bundle,
    plans: dict[str, GraphPlan],
    calibration: Calibration,
    prompts: Sequence[str],
    *,
    on_picture: Callable[[int, int], None] | None = None,
) -> dict[str, Observations]:
    """Draw pictures with a bundle and see what the plans' rules need to know.

    Returns
    -------
    Role -> what was seen; roles whose rules need nothing are left out.
    """
    watched: dict[str, WatchedGraph] = {}

    def load(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
        if role not in watched:
            return load_graph(bundle, role, options)
        return of_any_batch(role, bundle.graph(role), watched[role])

    with TemporaryDirectory(prefix="amused-edge-") as folder, ExitStack() as stack:
        for role, plan in plans.items():
            if _needs(plan):
                watched[role] = watch(bundle, role, plan, Path(folder))
                stack.callback(watched[role].end)
        if watched:
            draw(bundle, watched, load, calibration, prompts, on_picture=on_picture)
        return {role: each.observations(calibration) for role, each in watched.items()}


def _needs(plan: GraphPlan) -> bool:
    return any(rule.activations == "static" or rule.rounding == "feedback" for rule in plan.rules.values())


@dataclass(frozen=True)
class Places:
    """Which output shows what the products of each weight are given, for ranges and for X^T X."""

    ranges: dict[str, tuple[str, ...]]
    products: dict[str, tuple[str, ...]]


def watch(bundle: Bundle, role: str, plan: GraphPlan, folder: Path) -> "WatchedGraph":
    """Write a copy of a role's package that gives out what its rules need to know, and start it."""
    program = Package(package(bundle, role))
    shown: dict[Any, str] = {}
    places = Places({}, {})
    for name, weight in find_weights(program).items():
        rule = plan.rules[name]
        asked = [places.ranges] if rule.activations == "static" else []
        asked += [places.products] if rule.rounding == "feedback" else []
        for kind in asked:
            inputs = (product.operands[0] for product in weight.products)
            kind[name] = tuple(shown.setdefault(value, f"seen_{len(shown)}") for value in inputs)
    program.give_out({name: value for value, name in shown.items()})
    program.save(folder / package_name(role))
    outputs = [spec.name for spec in bundle.graph(role).outputs]
    return WatchedGraph(PackageProcess(folder / package_name(role)), outputs, places)


class WatchedGraph:
    """A graph that shows its inner values to an observer; a `Graph` otherwise."""

    def __init__(self, process: PackageProcess, outputs: list[str], places: Places) -> None:
        self._process = process
        self._outputs = outputs
        self._places = places
        self._observer = Observer(_all(places.products), _all(places.ranges))

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        values = self._process.run(inputs)
        self._observer.add(values)
        return {name: values[name] for name in self._outputs}

    def close(self) -> None:
        """Keep what was observed."""

    def end(self) -> None:
        """End the process."""
        self._process.end()

    def observations(self, calibration: Calibration) -> Observations:
        """Return what was seen, by weight."""
        ranges, products = self._observer.ranges(calibration), self._observer.products()
        return Observations(
            {weight: np.sum([products[name] for name in names], 0) for weight, names in self._places.products.items()},
            {weight: tuple(ranges[name] for name in names) for weight, names in self._places.ranges.items()},
        )


def _all(places: dict[str, tuple[str, ...]]) -> set[str]:
    return {name for names in places.values() for name in names}
