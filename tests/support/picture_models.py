"""Small ONNX files that measure nothing but show what they were fed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from amused_edge.runtime.pictures import ImageArray

Tensor = tuple[str, int, list[Any]]
"""Name, element type, shape."""

FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
NCHW: list[Any] = ["batch", 3, "height", "width"]
NHWC: list[Any] = ["batch", "height", "width", 3]


def save_model(
    path: Path,
    nodes: Sequence[tuple[str, list[str], str, dict[str, Any]]],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Write a graph; a node is (operator, inputs, output, attributes)."""
    graph = helper.make_graph(
        [helper.make_node(operator, taken, [given], **more) for operator, taken, given, more in nodes],
        "test",
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def save_flat(
    path: Path, dtype: int = FLOAT, shape: Sequence[Any] = NCHW, given: Sequence[Any] = ("batch", "n")
) -> Path:
    """Write an embedder whose features are all values that it was fed, as floats."""
    nodes = [("Cast", ["image"], "values", {"to": FLOAT}), ("Flatten", ["values"], "features", {})]
    return save_model(path, nodes, [("image", dtype, [*shape])], [("features", FLOAT, [*given])])


def pictures(count: int, height: int = 12, width: int = 16, seed: int = 0) -> list[ImageArray]:
    return [*np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)]
