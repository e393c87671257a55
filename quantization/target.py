"""What differs between the engines whose bundles can be quantized."""

import math
from collections.abc import Mapping
from typing import Protocol

from amused_edge.quantization.errors import QuantizationError
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo, Manifest
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions
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
