"""What differs between the engines whose bundles can be quantized."""

import math
from collections.abc import Mapping
from typing import Protocol

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Operator, Recipe, Rule
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo, Manifest
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions, Graph
from amused_edge.runtime.errors import quoted
from amused_edge.runtime.stages import Stages


class QuantizationTarget(Protocol):
    """A recipe resolved for the graphs of one bundle.

    Attributes
    ----------
    recipe
        The whole recipe.
    tools
        Packages whose versions the manifest records.
    engine
        What parent and new bundle are measured with.
    evaluator
        What that is, if it is not the engine itself; None if it is.
    """

    recipe: Recipe
    tools: tuple[str, ...]
    engine: EngineOptions
    evaluator: str | None

    def prepare(self, stages: Stages) -> None:
        """Measure what the recipe needs to know, if anything."""
        ...

    def write(self, role: str, writer: BundleWriter) -> GraphEntry:
        """Write one graph as the recipe says, and return its entry; each role once."""
        ...

    def engine_info(self, manifest: Manifest) -> EngineInfo:
        """Return the manifest's words about the engine that the new bundle needs."""
        ...

    def golden_tolerance(self, manifest: Manifest) -> Tolerance:
        """Return how far another engine may be from the golden output."""
        ...

    def trials(self) -> "Trials":
        """Return what measures single weights; its graphs are to be had after `prepare`.

        Raises
        ------
        QuantizationError
            There is no such thing for this target.
        """
        ...


class PlannedWeight(Protocol):
    """What a plan says of a weight, whatever its target."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As it is stored."""
        ...

    @property
    def operator(self) -> Operator:
        """What it is used by."""
        ...


class Plan(Protocol):
    """The weights of one graph by name, and the rules that they follow."""

    @property
    def weights(self) -> Mapping[str, PlannedWeight]:
        """Name -> weight."""
        ...

    @property
    def rules(self) -> Mapping[str, Rule]:
        """Name -> rule."""
        ...


class Trials(Protocol):
    """Graphs of one bundle in which some weights follow rules and all else is as exported.

    Attributes
    ----------
    bundle
        The parent.
    plans
        Role -> what a recipe means for its graph.
    engine
        What the parent is run with.
    description_bytes
        Room for what describes one changed weight in its graph.
    """

    bundle: Bundle
    plans: Mapping[str, Plan]
    engine: EngineOptions
    description_bytes: int

    def graph(self, role: str, rules: Mapping[str, Rule]) -> Graph:
        """Return a graph whose weights follow these rules, of the batch that the bundle's own has."""
        ...

    def gentler(self, role: str, name: str, rule: Rule) -> Rule | None:
        """Return the next rule for a weight, with more bits or smaller blocks; None where there is none."""
        ...

    def stored_bytes(self, role: str, name: str, rule: Rule) -> int:
        """Return how many bytes a weight takes under a rule, with all that expands it."""
        ...


def describe_bits(stored: Mapping[str, tuple[int, tuple[int, ...]]]) -> str:
    """Say how many values are stored in how many bits, most first.

    Parameters
    ----------
    stored
        Weight -> (bits, shape).
    """
    values: dict[int, int] = {}
    for bits, shape in stored.values():
        values[bits] = values.get(bits, 0) + math.prod(shape)
    total = sum(values.values())
    shares = sorted(values.items(), key=lambda item: -item[1])
    return ", ".join(f"{bits} bits {count / total:.1%}" for bits, count in shares)


def check_unquantized(bundle: Bundle) -> None:
    """Raise `QuantizationError` if a bundle is quantized already."""
    if bundle.manifest.quantization is not None:
        name = bundle.manifest.quantization.recipe.get("name")
        raise QuantizationError(
            f"{bundle.path} is quantized already (recipe {quoted(name)}), and doing it twice adds up the errors; "
            "quantize the bundle that `amused-edge export` wrote"
        )
