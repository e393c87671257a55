"""What bundles of Core ML packages say of themselves."""

from collections import Counter

from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.engines.coreml.program import FLOATS, Program

EVALUATOR = "NumPy evaluator of Core ML programs, fp16 values rounded as stored, sums in float32"

GOLDEN_TOLERANCE = Tolerance(logits=5e-2, pixels=4)
"""Apple's processors sum in an order and a precision of their own. A guess until a Mac has run such bundles."""


def precisions(program: Program) -> str:
    """Say in which types a program asks for its operations on floats, most first; no engine was watched."""
    counts = Counter(
        FLOATS[op.outputs[0].dtype]
        for op in program.operations
        if op.operator != "cast" and op.outputs[0].dtype in FLOATS
    )
    asked = ", ".join(f"{count} operations in {name}" for name, count in counts.most_common())
    return f"{asked} (as the program asks)"
