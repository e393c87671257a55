"""Looks into the packages of a Core AI bundle while it draws: what weights meet is made an output of a copy."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.calibration import draw, second_moments
from amused_edge.quantization.coreai.apply import Observations
from amused_edge.quantization.coreai.package import Package
from amused_edge.quantization.coreai.plan import GraphPlan
from amused_edge.quantization.coreai.weights import find_weights
from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Calibration
from amused_edge.quantization.rounding.ranges import Range, RangeObserver
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreai.package import package, package_name
from amused_edge.runtime.engines.coreai.process import PackageProcess
from amused_edge.runtime.engines.graph import Arrays, prepare_inputs
from amused_edge.runtime.errors import quoted


def observe(
    bundle: Bundle,
    plans: Mapping[str, GraphPlan],
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
    with TemporaryDirectory(prefix="amused-edge-") as folder, ExitStack() as stack:
        for role, plan in plans.items():
            if _needs(plan):
                watched[role] = watch(bundle, role, plan, Path(folder))
                stack.callback(watched[role].end)
        if watched:
            draw(bundle, watched, calibration, prompts, EngineOptions(remembered_prompts=0), on_picture=on_picture)
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
    return WatchedGraph(PackageProcess(folder / package_name(role)), role, bundle.graph(role), places)


class WatchedGraph:
    """A graph whose inner values are seen; a `Graph` otherwise."""

    def __init__(self, process: PackageProcess, role: str, entry: GraphEntry, places: Places) -> None:
        self._process = process
        self._role = role
        self._entry = entry
        self._places = places
        self._products: dict[str, NDArray[np.float64] | float] = dict.fromkeys(_all(places.products), 0.0)
        self._ranges = {name: RangeObserver() for name in _all(places.ranges)}

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`."""
        values = self._process.run(prepare_inputs(self._role, self._entry, inputs))
        for name in self._products:
            self._products[name] = self._products[name] + second_moments(values[name].astype(np.float32, copy=False))
        for name, observer in self._ranges.items():
            observer.add(values[name])
        return {name: values[name] for name in (spec.name for spec in self._entry.outputs)}

    def close(self) -> None:
        """Keep what was observed."""

    def end(self) -> None:
        """End the process."""
        self._process.end()

    def observations(self, calibration: Calibration) -> Observations:
        """Return what was seen, by weight; raises `QuantizationError` where a range is not to be had."""
        ranges = {
            weight: tuple(_range(weight, self._ranges[name], calibration) for name in names)
            for weight, names in self._places.ranges.items()
        }
        products = {
            weight: np.sum([np.asarray(self._products[name]) for name in names], axis=0)
            for weight, names in self._places.products.items()
        }
        return Observations(products, ranges)


def _range(weight: str, observer: RangeObserver, calibration: Calibration) -> Range:
    try:
        return observer.range(calibration.ranges)
    except ValueError as error:
        raise QuantizationError(f"calibration cannot use what {quoted(weight)} is multiplied with: {error}") from error


def _all(places: dict[str, tuple[str, ...]]) -> set[str]:
    return {name for names in places.values() for name in names}
