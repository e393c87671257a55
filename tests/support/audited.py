"""Small graphs that are saved and profiled; their answer is the same on every CPU."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.execution.profiling import audit_model
from amused_edge.runtime.engines.options import EngineOptions

INPUTS, OUTPUTS, BLOCK = 256, 128, 32
NBITS = {"domain": "com.microsoft", "K": INPUTS, "N": OUTPUTS, "block_size": BLOCK, "bits": 4}
rng = np.random.default_rng(0)
WEIGHT = rng.standard_normal((INPUTS, OUTPUTS)).astype(np.float32)
UNSIGNED = rng.integers(0, 256, (INPUTS, OUTPUTS)).astype(np.uint8)
X = rng.standard_normal((64, INPUTS)).astype(np.float32)
node = helper.make_node


def audit(
    file: Path, nodes: Sequence[Any], weights: Mapping[str, Any], x: Any = X, gives: int = TensorProto.FLOAT
) -> Audit:
    """Save the graph x -> y and profile it."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    takes = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", takes, x.shape)],
        [helper.make_tensor_value_info("y", gives, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), file)
    return audit_model(file, {"x": x}, EngineOptions(threads=1))
