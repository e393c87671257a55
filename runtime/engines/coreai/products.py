"""Products of halves, made ready for processors that are not Apple's."""

from pathlib import Path
from typing import Any

import numpy as np
from coreai import authoring  # noqa: F401  (before the dialect, which needs it)
from coreai._compiler import ir
from coreai._compiler.dialects import coreai

from amused_edge.runtime.engines.coreai.constants import CONSTANT, Constants
from amused_edge.runtime.engines.coreai.program import Program, element_name

_PRODUCTS = {
    "coreai.batch_matmul": coreai.batch_matmul,
    "coreai.decomposable.broadcasting_batch_matmul": coreai.broadcasting_batch_matmul,
}


def widen_products(program: Program, package: Path) -> bool:
    """Have products of halves summed in float32 and rounded once, as Apple's processors and `simulate` do.

    Elsewhere, Core AI rounds the sum after each addend, and takes some hundred times as long as in float32.

    Parameters
    ----------
    program
        Of the package; changed in memory.

    Returns
    -------
    Whether there were any.
    """
    constants = Constants(package)
    found = [op for op in program.operations() if op.name in _PRODUCTS and element_name(op.results[0]) == "f16"]
    for op in found:
        with program.module.context, ir.InsertionPoint(op), op.location:
            wide = [_wide(value, constants) for value in op.operands]
            half = coreai.cast(_PRODUCTS[op.name](*wide), ir.F16Type.get())
        op.results[0].replace_all_uses_with(half)
        op.erase()
    return bool(found)


def _wide(value: Any, constants: Constants) -> Any:
    """Return a value in float32; a constant by NumPy, for Core AI's compiler takes subnormal halves for others."""
    made_by = value.owner
    if getattr(made_by, "name", "") == CONSTANT:
        return coreai.constant(constants.values(made_by).astype(np.float32))
    return coreai.cast(value, ir.F32Type.get())
