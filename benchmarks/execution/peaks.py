"""The least time that a graph's products could take: their operations, over what the engine's own product of this size
reaches on this machine at the same time. It knows nothing of memory, norms and activation functions.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.runtime.engines.options import CPU_PROVIDER

ROWS, INPUTS, OUTPUTS = 512, 1024, 5632
"""Of the product that all peaks are measured with: a feed-forward layer of amused-256, 256 tokens of both branches."""

OPERATIONS = 2 * ROWS * INPUTS * OUTPUTS
_WARM_UP, _CALLS = 2, 7
_REST = 0.2
"""Seconds until the threads of another session spin no more, which takes half of two cores."""

_CONTRIB = "com.microsoft"


class Peaks:
    """Products of one size in ONNX Runtime, in 8-bit whole numbers and in float32.

    Parameters
    ----------
    options
        Of both sessions.
    """

    def __init__(self, options: ort.SessionOptions) -> None:
        models = {"int8": _int8_product(), "float32": _float_product()}
        self._bound = {precision: _bind(model, options) for precision, model in models.items()}

    def measure(self) -> dict[str, list[float]]:
        """Return precision -> operations a second of each of some calls."""
        found: dict[str, list[float]] = defaultdict(list)
        for precision, (session, binding) in self._bound.items():
            time.sleep(_REST)
            for call in range(_WARM_UP + _CALLS):
                start = time.perf_counter()
                session.run_with_iobinding(binding)
                if call >= _WARM_UP:
                    found[precision].append(OPERATIONS / (time.perf_counter() - start))
        time.sleep(_REST)
        return dict(found)


def least_seconds(audit: Audit, peaks: Mapping[str, float]) -> float | None:
    """Return how long a call of a graph would take if its products ran at these peaks (precision -> operations a
    second) and all else took no time; None where a product ran in a precision without a peak, or has an unknown number
    of operations.
    """
    seconds = 0.0
    for operator in audit.operators:
        if operator.product:
            if operator.precision not in peaks:
                return None
            seconds += operator.operations / peaks[operator.precision]
    return seconds if seconds > 0 else None  # nor where it is not a number


def _bind(model: ir.Model, options: ort.SessionOptions) -> tuple[ort.InferenceSession, ort.IOBinding]:
    """Return a session with memory for its output, so that none is allocated while it is timed."""
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=[CPU_PROVIDER])
    binding = session.io_binding()
    rows = np.random.Generator(np.random.Philox(0)).standard_normal((ROWS, INPUTS), np.float32)
    binding.bind_cpu_input("x", rows)
    output = ort.OrtValue.ortvalue_from_numpy(np.zeros((ROWS, OUTPUTS), np.float32))
    binding.bind_ortvalue_output("y", output)
    return session, binding


def _int8_product() -> ir.Model:
    codes = np.random.Generator(np.random.Philox(1)).integers(-127, 128, (INPUTS, OUTPUTS), np.int8)
    scales, zeros = np.full(OUTPUTS, 0.01, np.float32), np.zeros(OUTPUTS, np.int8)
    return _model("DynamicQuantizeMatMul", _CONTRIB, codes=codes, scales=scales, zero_points=zeros)


def _float_product() -> ir.Model:
    weights = np.random.Generator(np.random.Philox(1)).standard_normal((INPUTS, OUTPUTS), np.float32)
    return _model("MatMul", "", weights=weights)


def _model(operator: str, domain: str, **constants: np.ndarray[Any, Any]) -> ir.Model:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([ROWS, INPUTS]))
    tensors = [ir.Value(name=name, const_value=ir.tensor(value, name=name)) for name, value in constants.items()]
    node = ir.node(operator, [x, *tensors], domain=domain)
    (y,) = node.outputs
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape([ROWS, OUTPUTS])
    opsets = {"": 20, _CONTRIB: 1}
    graph = ir.Graph([x], [y], nodes=[node], initializers=tensors, opset_imports=opsets, name="product")
    return ir.Model(graph, ir_version=10)
