"""What differs between the engines that a checkpoint can be exported for."""

from typing import Protocol

from torch import nn

from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.parity import ParityTolerances
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo, Geometry
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions


class ExportTarget(Protocol):
    """Writes graphs for one engine, and says how they are checked.

    Attributes
    ----------
    name
        For the manifest.
    tools
        Packages whose versions the manifest records.
    engine
        What the check runs graphs with.
    evaluator
        What it is, if that is not the engine itself; None if it is.
    tolerances
        What parity allows.
    golden_tolerance
        What the golden output allows another engine.
    """

    name: str
    tools: tuple[str, ...]
    engine: EngineOptions
    evaluator: str | None
    tolerances: ParityTolerances
    golden_tolerance: Tolerance

    def engine_info(self) -> EngineInfo:
        """Return the manifest's words about the engine."""
        ...

    def write(self, spec: GraphSpec, module: nn.Module, inputs: Inputs, writer: BundleWriter) -> GraphEntry:
        """Write one graph and return its entry; the module (float32) stays as it is."""
        ...

    def write_files(self, geometry: Geometry, writer: BundleWriter) -> dict[str, FileEntry]:
        """Write files of this target that belong to no role, and return their entries by name; most have none."""
        return {}
