"""Looks at every float that the graphs of a bundle store: weights, scales, other constants.

A run shows only what it reaches: a row of a table that no token of the golden picture looks up may hold NaN unseen.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx.external_data import ExternalData, tensors
from amused_edge.runtime.errors import BundleError

_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
"""ONNX's numbers of float types -> NumPy's."""


def check_stored_floats(bundle: Bundle) -> None:
    """Raise `BundleError` if a stored float is NaN or infinite.

    Every weight is read once: take it for as long as `verification.verify` takes.
    """
    find = _FINDERS.get(bundle.manifest.target)
    if find is None:
        return  # whoever runs it will say that the target is not known
    for role in bundle.manifest.graphs:
        try:
            spoilt = find(bundle, role)
        except ValueError as error:
            raise BundleError(
                f"{bundle.path}: the graph of {role} is damaged ({error}); copy the bundle again"
            ) from error
        if spoilt is not None:
            raise BundleError(
                f"{bundle.path}: {role}/{spoilt} has values that are not finite (NaN or infinity); repair the "
                "checkpoint that it was made from, and export it again"
            )


def _first(stored: Iterable[tuple[str, NDArray[Any]]]) -> str | None:
    return next((name for name, values in stored if not _finite(values)), None)


def _finite(values: NDArray[Any]) -> bool:
    """NaN comes through the extremes, which need no memory."""
    return not values.size or bool(np.isfinite([values.min(), values.max()]).all())


def _of_onnx(bundle: Bundle, role: str) -> str | None:
    return _first(_in_onnx(bundle, role))


def _of_coreml(bundle: Bundle, role: str) -> str | None:
    return _first(_in_coreml(bundle, role))


def _of_coreai(bundle: Bundle, role: str) -> str | None:
    """In a process of its own, as always where Core AI opens a package; its hash was checked."""
    from amused_edge.runtime.engines.coreai.package import package
    from amused_edge.runtime.engines.coreai.process import not_finite

    return next(iter(not_finite(package(bundle, role))), None)


_FINDERS: dict[str, Callable[[Bundle, str], str | None]] = {
    "onnx": _of_onnx,
    "coreml": _of_coreml,
    "coreai": _of_coreai,
}
"""Target -> what finds the name of a weight that is not finite."""


def _in_onnx(bundle: Bundle, role: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield name and values; what lies in files is mapped, not read at once."""
    model, *others = bundle.graph(role).files
    files = {bundle.file(entry) for entry in others}
    for tensor in tensors(bundle.file(model).read_bytes()):
        dtype = _DTYPES.get(tensor.data_type)
        if dtype is None or tensor.values is None:
            continue
        if not isinstance(tensor.values, ExternalData):
            yield tensor.name, np.frombuffer(tensor.values, dtype)
            continue
        file = bundle.file(model).parent / tensor.values.location
        offset, count = tensor.values.offset, tensor.values.length // np.dtype(dtype).itemsize
        if file in files and count > 0 <= offset:  # others are refused when the graph is loaded
            yield tensor.name, np.memmap(file, dtype, "r", offset, count)


def _in_coreml(bundle: Bundle, role: str) -> Iterator[tuple[str, NDArray[Any]]]:
    from amused_edge.runtime.engines.coreml.package import package
    from amused_edge.runtime.engines.coreml.program import read_program

    for name, constant in read_program(package(bundle, role)).constants.items():
        if np.issubdtype(constant.value.dtype, np.floating):
            yield name, constant.value
