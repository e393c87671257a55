"""Reads what a Core AI package stores: the values of a program's constants, and the names that export gave them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreai.bytecode import read_blobs
from amused_edge.runtime.engines.coreai.package import PROGRAM
from amused_edge.runtime.engines.coreai.program import FLOATS, operations

CONSTANT = "coreai.constant"

_KEY = re.compile(r'dense_resource<"?(.*?)"?>')
_PLACE = re.compile(r'loc\("([^"]*)":')
_NOWHERE = "-"


class Constants:
    """The values of a saved program's constants, which stay in the file until they are asked for."""

    def __init__(self, package: Path) -> None:
        self._blobs = read_blobs(package / PROGRAM)

    def values(self, constant: Any) -> NDArray[Any]:
        """Return the values of an operation that is a constant; whole numbers of few bits are unpacked to 8.

        Raises
        ------
        ValueError
            It has none, or fewer or more than its shape says.
        """
        attribute, kind = constant.attributes["value"], constant.results[0].type
        shape, dtype = tuple(kind.shape), _dtype(kind.element_type)
        if ir.DenseElementsAttr.isinstance(attribute):
            elements = ir.DenseElementsAttr(attribute)
            if elements.is_splat:
                return np.full(shape, elements.get_splat_value().value, dtype)
            return np.array(elements).reshape(shape)
        match = _KEY.match(str(attribute))
        data, bits, count = self._blobs.get(match[1] if match else ""), element_bits(kind.element_type), _count(shape)
        if data is None or len(data) != -(-count * bits // 8):
            raise ValueError(f"a constant of shape {list(shape)} has other values than that")
        if bits < 8:
            return unpack_bits(data, bits, count, signed=kind.element_type.is_signed).reshape(shape)
        return data.view(dtype).reshape(shape)


def stored_floats(package: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield name and values of each constant of floats."""
    constants = Constants(package)
    program = authoring.AIModelAsset.load(package).program
    for op in operations(program._module._mlir_module.operation):
        if op.name == CONSTANT and str(op.results[0].type.element_type) in FLOATS:
            yield place_name(op) or "a constant", constants.values(op)


def place_name(operation: Any) -> str | None:
    """Return the name that export gave an operation as its place in a source; None if it gave none."""
    match = _PLACE.search(str(operation.location))
    return match[1] if match is not None and match[1] != _NOWHERE else None


def element_bits(element: Any) -> int:
    """Return the bits of an element's type."""
    return int(re.sub(r"\D", "", str(element)))


def _dtype(element: Any) -> np.dtype[Any]:
    """Return NumPy's type of an element of 8 bits or more, or what one of fewer bits is unpacked to."""
    name = str(element)
    if name in FLOATS:
        return np.dtype(FLOATS[name])
    return np.dtype(f"{'u' if name.startswith('ui') else ''}int{max(element_bits(element), 8)}")


def _count(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def pack_bits(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack whole numbers of 8 bits to fewer, the lowest first, without gaps, as Core AI has them."""
    each = np.unpackbits(values.reshape(-1, 1).view(np.uint8), axis=1, bitorder="little")
    return np.packbits(each[:, :bits].reshape(-1), bitorder="little")


def unpack_bits(data: NDArray[np.uint8], bits: int, count: int, *, signed: bool) -> NDArray[Any]:
    """Undo `pack_bits`: (count,) int8 or uint8."""
    each = np.unpackbits(np.ascontiguousarray(data), count=count * bits, bitorder="little").reshape(count, bits)
    padding = each[:, -1:].repeat(8 - bits, 1) if signed else np.zeros((count, 8 - bits), np.uint8)
    whole = np.packbits(np.concatenate([each, padding], axis=1), axis=1, bitorder="little")[:, 0]
    return whole.view(np.int8) if signed else whole
