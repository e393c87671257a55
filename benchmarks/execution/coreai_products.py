"""What a Core AI program asks for its products, read from its package; what a processor makes of it is not seen."""

from collections import Counter
from pathlib import Path

from coreai.authoring import AIModelAsset

from amused_edge.runtime.engines.coreai.program import FLOATS, operations

PRODUCTS = frozenset({"coreai.batch_matmul", "coreai.decomposable.broadcasting_batch_matmul", "coreai.conv2d"})
"""Operations that do nearly all of the arithmetic."""


def asked_products(package: Path) -> str:
    """Say in what a package asks for its products, most first, for example "26 batch_matmul in float32"."""
    program = AIModelAsset.load(package).program
    counts: Counter[str] = Counter()
    for op in operations(program._module._mlir_module.operation):
        if op.name in PRODUCTS:
            kind = op.name.rpartition(".")[2].removeprefix("broadcasting_")
            rounded = any(getattr(value.owner, "name", "") == "coreai.dequantize" for value in op.operands)
            what = ", of int8 inputs" if rounded else ""
            counts[f"{kind} in {FLOATS[str(op.results[0].type.element_type)]}{what}"] += 1
    return "; ".join(f"{count} {what}" for what, count in counts.most_common()) + " (as the program asks)"
