"""Where Core AI is to be had, and what its packages compute."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amused_edge.export.graphs import Inputs
from amused_edge.runtime.engines.coreai.process import PackageProcess

needs_coreai = pytest.mark.skipif(
    find_spec("coreai_torch") is None, reason="coreai-core and coreai-torch have no wheels for this system"
)


def execute(package: Path, inputs: Inputs, row: int) -> dict[str, NDArray[Any]]:
    """What a package makes of one row of inputs in the ONNX form."""
    process = PackageProcess(package)
    try:
        dtypes = {spec.name: spec.dtype for spec in process.inputs}
        rows = {name: value[row : row + 1].numpy().astype(dtypes[name]) for name, value in inputs.items()}
        return process.run(rows)
    finally:
        process.end()


def as_torch(values: NDArray[Any]) -> torch.Tensor:
    """In float32, if they are floats."""
    return torch.from_numpy(values.astype(np.float32) if values.dtype.kind == "f" else values)
