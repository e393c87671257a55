"""A Core AI program: what its operations compute in, and how it is made ready for the runtime of other systems.

Only this module and `worker` know Core AI's classes. Its public ones build and save programs; to find operations in a
saved one takes those of MLIR below them, which Core AI ships and does not promise to keep.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from coreai._compiler.dialects import coreai

from amused_edge.runtime.engines.coreai.bytecode import read_blobs

FLOATS = {"f16": "float16", "f32": "float32"}
"""MLIR's names of float types -> NumPy's."""

_DTYPES: dict[str, type[np.floating[Any]]] = {"f16": np.float16, "f32": np.float32}
_KEY = re.compile(r'dense_resource<"?(.*?)"?>')
_PLACE = re.compile(r'loc\("([^"]*)":')

_PRODUCTS = {
    "coreai.batch_matmul": coreai.batch_matmul,
    "coreai.decomposable.broadcasting_batch_matmul": coreai.broadcasting_batch_matmul,
}
_UNCOUNTED = frozenset({"coreai.constant", "coreai.cast", "coreai.graph", "coreai.output", "coreai.invoke"})


class Program:
    """The program of a package, in memory."""

    def __init__(self, asset: authoring.AIModelAsset) -> None:
        self.program = asset.program
        self._module = self.program._module._mlir_module

    def precisions(self) -> str:
        """Say in which types the program asks for its operations on floats, most first; no engine was watched."""
        counts = Counter(
            FLOATS[kind]
            for op in operations(self._module.operation)
            if op.name not in _UNCOUNTED and op.results and (kind := _element(op.results[0])) in FLOATS
        )
        asked = ", ".join(f"{count} operations in {name}" for name, count in counts.most_common())
        return f"{asked} (as the program asks)"

    def not_finite(self, file: Path) -> list[str]:
        """Return the names of stored floats among which there is NaN or infinity, of those without a name their keys.

        Parameters
        ----------
        file
            The program's own, from which the values are read.
        """
        blobs = read_blobs(file)
        found = []
        for op in operations(self._module.operation):
            if op.name != "coreai.constant" or (dtype := _DTYPES.get(_element(op.results[0]))) is None:
                continue
            key = _KEY.match(str(op.attributes["value"]))
            if key is not None and key[1] in blobs and not np.isfinite(blobs[key[1]].view(dtype)).all():
                found.append(place_name(op) or key[1])
        return found

    def widen_products(self) -> bool:
        """Have products of halves summed in float32 and rounded once, as Apple's processors and `simulate` do.

        Away from them, Core AI rounds the sum after each addend, and takes some hundred times as long as in float32.

        Returns
        -------
        Whether there were any.
        """
        found = [
            op for op in operations(self._module.operation) if op.name in _PRODUCTS and _element(op.results[0]) == "f16"
        ]
        for op in found:
            with self._module.context, ir.InsertionPoint(op), op.location:
                wide = [coreai.cast(value, ir.F32Type.get()) for value in op.operands]
                half = coreai.cast(_PRODUCTS[op.name](*wide), ir.F16Type.get())
            op.results[0].replace_all_uses_with(half)
            op.erase()
        return bool(found)


def operations(operation: Any) -> Iterator[Any]:
    """Yield the operations of all graphs below one, in their order; those that were yielded may be erased."""
    for region in operation.regions:
        for block in region.blocks:
            for view in list(block.operations):
                yield view.operation
                yield from operations(view.operation)


def place_name(operation: Any) -> str | None:
    """Return the name that export gave an operation as its place in a source; None if it gave none."""
    place = _PLACE.search(str(operation.location))
    return place[1] if place is not None and place[1] != "-" else None


def _element(value: Any) -> str:
    kind = value.type
    return str(kind.element_type) if isinstance(kind, ir.RankedTensorType) else ""
