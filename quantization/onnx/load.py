"""Reads a graph of a bundle; its weights lie in the bundle's files until they are asked for."""

from pathlib import Path

import onnx_ir as ir

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx.session import check_external_data


def load_model(bundle: Bundle, role: str) -> ir.Model:
    """Return the graph of a role. Weights whose file is a link into a hub's cache name the file itself: neither onnx_ir
    nor ONNX Runtime follows a link from a graph that is only in memory.

    Raises
    ------
    BundleError
        It reads from files that are not its own.
    """
    file = bundle.file(bundle.graph(role).files[0])
    check_external_data(bundle, role, file)
    model = ir.load(file)
    for value in model.graph.initializers.values():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = _weights(value.const_value, follow=bool(bundle.links))
    return model


def weights_folder(bundle: Bundle, role: str) -> Path:
    """Return the folder that the weights of such a graph are named in."""
    if not bundle.links:
        return bundle.path
    return bundle.file(bundle.graph(role).files[-1]).resolve().parent


def _weights(tensor: ir.ExternalTensor, *, follow: bool) -> ir.ExternalTensor:
    location, folder = tensor.location, tensor.base_dir
    if follow:
        file = Path(tensor.path).resolve()
        location, folder = file.name, file.parent
    return _Weights(
        location,
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=ir.Shape(tensor.shape),
        name=tensor.name or "",
        base_dir=folder,
    )


class _Weights(ir.ExternalTensor):  # type: ignore[misc]
    """Reads from a file of the bundle, as `check_external_data` has found."""

    def _check_path_containment(self) -> None:
        """Take files of several names, too, which onnx_ir refuses: stores and backups keep equal files once."""
