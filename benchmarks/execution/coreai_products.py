"""What a Core AI program asks for its products, read from its package; what a processor makes of it is not seen."""

from collections import Counter
from pathlib import Path

from amused_edge.runtime.engines.coreai.program import FLOATS, Program, element_name

PRODUCTS = frozenset({"coreai.batch_matmul", "coreai.decomposable.broadcasting_batch_matmul", "coreai.conv2d"})
"""Operations that do nearly all of the arithmetic."""


def asked_products(package: Path) -> str:
    """Say in what a package asks for its products, most first, for example "26 batch_matmul in float32"."""
    counts: Counter[str] = Counter()
    for op in Program(package).operations():
        if op.name in PRODUCTS:
            kind = op.name.rpartition(".")[2].removeprefix("broadcasting_")
            rounded = any(getattr(value.owner, "name", "") == "coreai.dequantize" for value in op.operands)
            what = ", of int8 inputs" if rounded else ""
            counts[f"{kind} in {FLOATS[element_name(op.results[0])]}{what}"] += 1
    return "; ".join(f"{count} {what}" for what, count in counts.most_common()) + " (as the program asks)"
