"""Engines run graphs. Each has a room of its own, which alone imports the engine's library."""

import sys
import threading
from collections.abc import Callable

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import TARGETS
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
    if target not in _LOADERS:
        raise BundleError(
            f"bundle {bundle.path} has the target {quoted(target)}, which this amused-edge cannot run; upgrade "
            "amused-edge"
        )
    if options.simulate is not None and target != "coreml":
        raise OptionsError(
            f"{bundle.path} is for {TARGETS[target]}, whose engine runs here; simulate is for Core ML bundles"
        )
    bundle.fetch(bundle.graph(role).files)
    return _LOADERS[target](bundle, role, options)


def _load_onnx(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    from amused_edge.runtime.engines.onnx.session import load_onnx

    return load_onnx(bundle, role, options)


def _load_coreai(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    from amused_edge.runtime.engines.coreai.session import CoreAIGraph

    return _of_one_row(bundle, role, CoreAIGraph(bundle, role))


def _load_coreml(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
    with _COREMLTOOLS:
        return _of_one_row(bundle, role, _open_coreml(bundle, role, options))


def _of_one_row(bundle: Bundle, role: str, graph: Graph) -> Graph:
    """Return a graph that was loaded from the bundle's files as one that takes any batch."""
    for file in bundle.graph(role).files:
        bundle.check_unchanged(file)
    return of_any_batch(role, bundle.graph(role), graph)


_LOADERS: dict[str, Callable[[Bundle, str, EngineOptions], Graph]] = {
    "onnx": _load_onnx,
    "coreml": _load_coreml,
    "coreai": _load_coreai,
}
"""Target of a bundle -> its engine."""


def _open_coreml(bundle: Bundle, role: str, options: EngineOptions) -> Graph:
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
