"""Engines run graphs. Each has a room of its own, which alone imports the engine's library."""

import sys
import threading

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.graph import Graph, call
from amused_edge.runtime.engines.options import CACHE_BYTES, EngineOptions
from amused_edge.runtime.engines.rows import of_any_batch
from amused_edge.runtime.errors import BundleError, GraphError, OptionsError, quoted

__all__ = ["CACHE_BYTES", "EngineOptions", "Graph", "call", "load_graph"]

_COREMLTOOLS = threading.Lock()
"""coremltools reads programs with state that all threads share."""


def load_graph(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    """Load the graph of a role with the engine of the bundle's target.

    Raises
    ------
    BundleError
        The bundle is damaged, or of an unknown target.
    GraphError
        The engine is not to be had here, or cannot load the graph.
    """
    target = bundle.manifest.target
    if target == "onnx":
        if options.simulate is not None:
            raise OptionsError(f"{bundle.path} is for ONNX, whose engine runs here; simulate is for Core ML bundles")
        from amused_edge.runtime.engines.onnx.session import load_onnx

        return load_onnx(bundle, role, options)
    if target == "coreml":
        with _COREMLTOOLS:
            graph = _load_coreml(bundle, role, options)
        for file in bundle.graph(role).files:
            bundle.check_unchanged(file)
        return of_any_batch(role, bundle.graph(role), graph)
    raise BundleError(
        f"bundle {bundle.path} has the target {quoted(target)}, which this amused-edge cannot run; upgrade amused-edge"
    )


def _load_coreml(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    if options.simulate is None and sys.platform != "darwin":
        raise GraphError(
            f"{bundle.path} is for Core ML, which runs on Apple's systems only; to compute it here with the NumPy "
            "evaluator, choose simulate: 'half' or 'float'"
        )
    try:
        if options.simulate is not None:
            from amused_edge.runtime.engines.coreml.evaluator import MilGraph

            return MilGraph(bundle, role, options)
        from amused_edge.runtime.engines.coreml.mac import CoreMLGraph

        return CoreMLGraph(bundle, role, options)
    except ModuleNotFoundError as error:
        if error.name != "coremltools":
            raise
        raise GraphError(
            "Core ML bundles need coremltools, which is not installed: pip install 'amused-edge[coreml]'"
        ) from error
