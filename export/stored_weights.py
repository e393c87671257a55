"""The weights of an ONNX bundle that a LoRA may change: where each lies in its files, and how it is laid out there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.export.checkpoint.lora.keys import Weight
from amused_edge.export.checkpoint.lora.lora import Lora, adaptable
from amused_edge.export.errors import LoraError
from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx.external_data import ExternalData, tensors
from amused_edge.runtime.errors import BundleError

_COMPONENTS = {"text_encoder": "text_encoder", "conditioner": "transformer", "denoiser": "transformer"}
"""Role -> component of the checkpoint that its weights are from."""

_DTYPES = {1: "<f4", 10: "<f2"}
"""ONNX's numbers of float types -> NumPy's."""

_HALVES = (".ff.net.0.value.weight", ".ff.net.0.gate.weight")
"""The two halves of the outputs of `ff.net.0.proj`, in order, each a weight of its own."""

_PATCHES = "down_block.downsample.conv.weight"
"""A 2x2 convolution as a matrix over patches whose entries run (row, column, channel)."""


@dataclass(frozen=True)
class Place:
    """Where a weight, or half of one, lies in a bundle's files.

    Attributes
    ----------
    weight
        Of the checkpoint.
    name
        In the graph.
    file, offset
        Name of the file, and its first byte there.
    dtype, shape
        As it is stored: inputs first.
    rows
        Which outputs of the checkpoint's weight it has.
    """

    weight: Weight
    name: str
    file: str
    offset: int
    dtype: str
    shape: tuple[int, int]
    rows: slice

    def laid_out(self, delta: FloatArray) -> FloatArray:
        """Return what is added to the checkpoint's weight (outputs, inputs) as it lies here."""
        part = delta[self.rows]
        if self.name == _PATCHES:
            part = part.reshape(len(part), -1, 2, 2).transpose(0, 2, 3, 1).reshape(len(part), -1)
        return part.T


@dataclass(frozen=True)
class StoredWeights:
    """All of a bundle.

    Attributes
    ----------
    places
        By role.
    shapes
        Of each weight that may be changed, as the checkpoint has it: (outputs, inputs).
    folded
        Weights of the checkpoint that a bundle does not hold any more, and why they cannot be changed.
    """

    places: dict[str, list[Place]]
    shapes: dict[Weight, tuple[int, ...]]
    folded: dict[Weight, str]


def find_weights(bundle: Bundle) -> StoredWeights:
    """Find the weights of a bundle; raises `BundleError` where a graph is damaged."""
    found = StoredWeights({}, {}, {})
    for role, component in _COMPONENTS.items():
        places = found.places[role] = list(_places(bundle, role, component))
        for place in places:
            inputs, outputs = place.shape
            before = found.shapes[place.weight][0] if place.weight in found.shapes else 0  # the other half's
            found.shapes[place.weight] = (before + outputs, inputs)
        for name, sources in bundle.graph(role).derived_tensors.items():
            reason = f"in a bundle it is folded into {name}; export the checkpoint again, with --lora"
            gone = {(component, source): reason for source in sources if source.endswith(".weight")}
            found.folded.update({weight: why for weight, why in gone.items() if weight not in found.shapes})
    return found


def _places(bundle: Bundle, role: str, component: str) -> Iterator[Place]:
    model, *others = bundle.graph(role).files
    content = bundle.file(model).read_bytes()
    try:
        stored = list(tensors(content))
    except ValueError as error:
        raise BundleError(f"{bundle.path}: the graph of {role} is damaged ({error}); copy the bundle again") from error
    files = {file.path for file in others}
    derived = bundle.graph(role).derived_tensors
    for tensor in stored:
        dtype, values = _DTYPES.get(tensor.data_type), tensor.values
        half = next((index for index, ending in enumerate(_HALVES) if tensor.name.endswith(ending)), None)
        if dtype is None or values is None or len(tensor.shape) != 2 or not adaptable(tensor.name, tensor.shape):
            continue
        if isinstance(values, ExternalData):
            file, offset = values.location, values.offset
            if file not in files:
                continue  # such a graph is refused when it is loaded
        else:
            file, offset = model.path, _address(values) - _address(content)
        inputs, outputs = tensor.shape
        rows = slice(None) if half is None else slice(half * outputs, (half + 1) * outputs)
        name = tensor.name if half is None else derived[tensor.name][0]
        yield Place((component, name), tensor.name, file, offset, dtype, (inputs, outputs), rows)


def _address(content: bytes | memoryview) -> int:
    return int(np.frombuffer(content, np.uint8).ctypes.data)


def add_to_files(places: Sequence[Place], loras: Sequence[Lora], folder: Path) -> dict[str, float]:
    """Add LoRAs to the weights in a folder's files, in float32, one weight at a time.

    Returns
    -------
    Of each weight that was changed, by its name in the graph: what rounding to its stored type cost, root mean square
    relative to that of its values.

    Raises
    ------
    LoraError
        A sum does not fit in the weight's type.
    """
    errors = {}
    for place in places:
        layers = [lora.layers[place.weight] for lora in loras if place.weight in lora.layers]
        if not layers:
            continue
        with (folder / place.file).open("r+b") as file:
            file.seek(place.offset)
            exact = np.fromfile(file, place.dtype, place.shape[0] * place.shape[1]).astype(np.float32)
            exact = exact.reshape(place.shape)
            for layer in layers:
                exact += place.laid_out(layer.delta())
            with np.errstate(over="ignore"):
                rounded = exact.astype(place.dtype)
            if not np.isfinite(rounded).all():
                raise LoraError(
                    f"with the LoRA, {place.name} has values beyond the range of {rounded.dtype}; give it less weight"
                )
            file.seek(place.offset)
            file.write(rounded.data)  # NumPy's tofile loses an error of the disk
        errors[place.name] = _relative_error(exact, rounded)
    return errors


def _relative_error(exact: FloatArray, rounded: NDArray[Any]) -> float:
    size = float(np.linalg.norm(exact))
    return float(np.linalg.norm(exact - rounded)) / size if size else 0.0
