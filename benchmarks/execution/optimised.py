"""What the engine really computes in: read from the graph as ONNX Runtime has optimised it, not from ours."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime as ort

from amused_edge.runtime.engines.onnx.prepared import save_optimised
from amused_edge.runtime.engines.options import CPU_PROVIDER
from amused_edge.runtime.system.library_paths import library_path

INTEGER_PRODUCTS = frozenset(
    {
        *("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger", "QLinearMatMul", "QGemm", "QAttention"),
        *("QLinearConv", "ConvInteger"),
    }
)
"""Products of 8-bit whole numbers."""

PRODUCTS = INTEGER_PRODUCTS | {
    *("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulNBits", "Attention", "MultiHeadAttention"),
    *("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose"),
}
"""Operators that do nearly all of the arithmetic."""

_INT8_LEVEL = 4
_NAMES = {ir.DataType.FLOAT: "float32", ir.DataType.FLOAT16: "float16", ir.DataType.DOUBLE: "float64"}


def executed_products(model: Path) -> dict[str, int]:
    """Return what computes a graph's products on this machine's CPU engine, and how often.

    Keys are like "MatMulNBits in float32" or "DynamicQuantizeMatMul in uint8"; counts are nodes. `model` is the
    `.onnx` file.
    """
    dtypes: dict[ir.Value, ir.DataType] = {}
    counts: Counter[str] = Counter()
    for node in optimised_model(model, ort.SessionOptions()).graph:
        if node.op_type in PRODUCTS:
            counts[f"{node.op_type} in {_precision(node, dtypes)}"] += 1
        _note_outputs(node, dtypes)
    return dict(sorted(counts.items()))


def optimised_model(model: Path, options: ort.SessionOptions, without: Sequence[str] = ()) -> ir.Model:
    """Return what the CPU engine makes of the model in a file; the values of its weights are gone.

    Parameters
    ----------
    options
        Say what is optimised; they are changed.
    without
        Names of optimisers to leave out.
    """
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # nothing is run; left to choose, the engine starts threads and ties them down
    with tempfile.TemporaryDirectory(prefix="amused-edge-") as folder:
        optimised = save_optimised(options, Path(folder))
        ort.InferenceSession(library_path(model), options, providers=[CPU_PROVIDER], disabled_optimizers=list(without))
        return ir.load(optimised)


def int8_block_products(model: Path) -> frozenset[str]:
    """Return the names of the nodes of a model (as optimised) whose 4- or 8-bit weights meet 8-bit activations.

    "" stands for all `MatMulNBits` without a name, if all of them are such.
    """
    products = [node for node in ir.load(model).graph if node.op_type == "MatMulNBits"]
    others = {node.name or "" for node in products if not _is_int8_block_product(node)}
    return frozenset(node.name or "" for node in products) - others


def convolution_kernels(model: Path) -> dict[str, tuple[int, ...]]:
    """Return node name -> shape (out, in of a group, h, w) of the kernels of a model's convolutions."""
    found = {}
    for node in ir.load(model).graph:
        if "Conv" in node.op_type and node.op_type in PRODUCTS:
            kernel = node.inputs[3 if node.op_type == "QLinearConv" else 1]
            if node.name and kernel is not None and kernel.const_value is not None:
                found[node.name] = tuple(int(side) for side in kernel.const_value.shape)
    return found


def _is_int8_block_product(node: ir.Node) -> bool:
    level = node.attributes.get("accuracy_level")
    return node.op_type == "MatMulNBits" and level is not None and level.as_int() == _INT8_LEVEL


def _note_outputs(node: ir.Node, dtypes: dict[ir.Value, ir.DataType]) -> None:
    """Note what a node's outputs are, which follows from its inputs."""
    if node.op_type == "Cast":
        dtype: ir.DataType | None = ir.DataType(node.attributes["to"].as_int())
    elif node.op_type in ("DequantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
        dtype = ir.DataType.FLOAT
    else:
        dtype = _float_input(node, dtypes)
    if dtype is not None:
        dtypes.update(dict.fromkeys(node.outputs, dtype))


def _float_input(node: ir.Node, dtypes: dict[ir.Value, ir.DataType]) -> ir.DataType | None:
    """Return the dtype of a node's first input that is a float."""
    for value in node.inputs:
        if value is None:
            continue
        dtype = value.const_value.dtype if value.const_value is not None else dtypes.get(value, value.dtype)
        if dtype in _NAMES:
            return dtype
    return None


def _precision(node: ir.Node, dtypes: dict[ir.Value, ir.DataType]) -> str:
    if node.op_type in INTEGER_PRODUCTS:
        return "uint8"
    if _is_int8_block_product(node):
        return "int8"
    dtype = _float_input(node, dtypes)
    return _NAMES[dtype] if dtype is not None else "?"
