"""Engines run graphs. Each has a module of its own that alone imports the engine's library."""

from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.engines.graph import Graph
from amused_edge.runtime.engines.options import EngineOptions
from amused_edge.runtime.errors import BundleError

__all__ = ["EngineOptions", "Graph", "load_graph"]


def load_graph(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    """Load the graph of a role with the engine of the bundle's target."""
    if bundle.manifest.target == "onnx":
        from amused_edge.runtime.engines.onnx_runtime import OnnxRuntimeGraph

        return OnnxRuntimeGraph(bundle, role, options)
    raise BundleError(
        f"bundle {bundle.path} has the target {bundle.manifest.target!r}, which this amused-edge cannot run; "
        "upgrade amused-edge"
    )
