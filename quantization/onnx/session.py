"""Runs graphs that are only in memory, beside the files of the bundle that their weights still lie in."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from amused_edge.quantization.onnx.load import weights_folder
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays, prepare_inputs
from amused_edge.runtime.engines.onnx.session import session_options
from amused_edge.runtime.engines.options import CPU_PROVIDER


class MemoryGraph:
    """A graph of a bundle, changed in memory; a `Graph`.

    Parameters
    ----------
    extra
        Names of inner values that `all_values` gives too.
    """

    def __init__(self, bundle: Bundle, role: str, model: ir.Model, extra: Collection[str] = ()) -> None:
        self._role, self._entry = role, bundle.graph(role)
        outputs = [spec.name for spec in self._entry.outputs]
        given = {spec.name for spec in self._entry.inputs} | set(outputs)
        self._inner = sorted(set(extra) - given)
        self._session = _open(model, weights_folder(bundle, role), self._inner)

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; nothing stops it within."""
        values = self.all_values(inputs)
        return {spec.name: values[spec.name] for spec in self._entry.outputs}

    def all_values(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run the graph and return its inputs, the extra values and its outputs, by name."""
        feeds = prepare_inputs(self._role, self._entry, inputs)
        names = [*(spec.name for spec in self._entry.outputs), *self._inner]
        return {**feeds, **dict(zip(names, self._session.run(names, feeds), strict=True))}

    def close(self) -> None:
        """Nothing to do: the session goes with the object."""


def _open(model: ir.Model, folder: Path, inner: list[str]) -> ort.InferenceSession:
    values = {value.name: value for node in model.graph for value in node.outputs}
    count = len(model.graph.outputs)
    model.graph.outputs.extend(values[name] for name in inner)
    try:
        proto = ir.to_proto(model).SerializeToString()
    finally:
        while len(model.graph.outputs) > count:
            model.graph.outputs.pop()  # a slice that is deleted leaves its values marked as outputs
    options = session_options(EngineOptions())
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return ort.InferenceSession(proto, options, providers=[CPU_PROVIDER])
