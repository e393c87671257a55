"""A Core AI program: what its operations compute in, and how it is made ready for the runtime of other systems.

Only this module and `worker` know Core AI's classes. Its public ones build and save programs; to find operations in a
saved one takes those of MLIR below them, which Core AI ships and does not promise to keep.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from coreai._compiler.dialects import coreai

FLOATS = {"f16": "float16", "f32": "float32"}
"""MLIR's names of float types -> NumPy's."""

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


def _element(value: Any) -> str:
    kind = value.type
    return str(kind.element_type) if isinstance(kind, ir.RankedTensorType) else ""
