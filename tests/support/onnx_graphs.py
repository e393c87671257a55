"""Small ONNX models for the tests of the quantization room, and what they compute according to the engine."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from amused_edge.quantization.onnx.weights import Weight, find_weights
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.onnx.session import session_options
from amused_edge.runtime.engines.options import CPU_PROVIDER

Shapes = Mapping[str, Sequence[int | str]]
Node = onnx.NodeProto


def build(nodes: Sequence[Node], inputs: Shapes, outputs: Sequence[str], **weights: NDArray[Any]) -> ir.Model:
    """Return a model; inputs named "ids..." are whole numbers, all else is float32."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name.startswith("ids") else TensorProto.FLOAT, list(shape)
            )
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    )
    return ir.from_proto(model)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> Node:
    return helper.make_node(operator, list(inputs), [output], name=f"make_{output}", **attributes)


def weights_of(model: ir.Model) -> dict[str, Weight]:
    return find_weights(model.graph, {})


def run(model: ir.Model, **feeds: NDArray[Any]) -> list[NDArray[Any]]:
    """Check a model as the specification does, where it knows the operators, and run it as the engine runs bundles."""
    return run_with(session_options(EngineOptions()), model, feeds)


def run_with(options: ort.SessionOptions, model: ir.Model, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Like `run`, in a session with other options."""
    for one in model.graph:
        if one.domain:
            model.opset_imports.setdefault(one.domain, 1)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=[CPU_PROVIDER])
    results: list[NDArray[Any]] = session.run(None, feeds)
    return results


def operators(model: ir.Model) -> list[str]:
    return [one.op_type for one in model.graph]
