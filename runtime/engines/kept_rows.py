"""What a graph takes and gives besides if it may compute some rows of its layers and keep the others.

A caller that says nothing of rows has all computed, and nothing kept.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.graph_entry import KEPT, PLACES, ROWS, GraphEntry


def with_all_rows(entry: GraphEntry, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Return inputs that say which rows to compute, and what is kept: all and nothing, where they did not."""
    if not entry.keeps_rows:
        return inputs
    added: dict[str, NDArray[Any]] = {}
    for spec in entry.inputs:
        if spec.name == PLACES:
            added[ROWS] = added[PLACES] = np.arange(int(spec.shape[1]), dtype=spec.dtype)[None]
        elif spec.name.startswith(KEPT):
            added[spec.name] = np.empty([side if isinstance(side, int) else 0 for side in spec.shape], spec.dtype)
    return {**added, **inputs}


def asked_outputs(entry: GraphEntry, inputs: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the names of the outputs that a caller with such inputs is given."""
    names = [spec.name for spec in entry.outputs]
    if not entry.keeps_rows or ROWS in inputs:
        return names
    kept = {spec.name for spec in entry.inputs}
    return [name for name in names if KEPT + name not in kept]
