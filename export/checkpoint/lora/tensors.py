"""Reads the tensors of a safetensors file as float32, also those of types that NumPy has not."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from amused_edge.export.checkpoint.weight_files import in_place_of_weights
from amused_edge.export.errors import LoraError
from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.errors import quoted

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class TensorFile:
    """What a file holds.

    Attributes
    ----------
    sha256
        Of its bytes.
    metadata
        Texts of its header.
    tensors
        Float32, finite.
    """

    sha256: str
    metadata: dict[str, str]
    tensors: dict[str, FloatArray]


def read_tensors(file: Path) -> TensorFile:
    """Read a whole file, which is small as LoRAs are.

    Raises
    ------
    LoraError
        It is no safetensors file, or a tensor holds no finite floats.
    """
    try:
        content = file.read_bytes()
        stored: list[tuple[str, dict[str, Any]]] = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
        with safetensors.safe_open(file, framework="numpy") as opened:
            metadata = dict(opened.metadata() or {})
    except (safetensors.SafetensorError, OSError) as error:
        found = in_place_of_weights(file)
        what = f"is {found}" if found else f"is not a whole safetensors file ({error}); download it again"
        raise LoraError(f"{file} {what}") from error
    tensors = {name: _floats(file, name, one["dtype"], one["shape"], one["data"]) for name, one in stored}
    return TensorFile(hashlib.sha256(content).hexdigest(), metadata, tensors)


def _floats(file: Path, name: str, dtype: str, shape: list[int], data: bytes) -> FloatArray:
    if dtype not in _DTYPES:
        raise LoraError(f"{file}: {quoted(name)} is of type {dtype}; LoRAs are read in {', '.join(_DTYPES)}")
    raw = np.frombuffer(data, _DTYPES[dtype])
    values: NDArray[np.float32] = _from_bfloat16(raw) if dtype == "BF16" else raw.astype(np.float32)
    if not np.isfinite(values).all():
        raise LoraError(f"{file}: {quoted(name)} holds NaN or infinity; take one from before training diverged")
    try:
        return values.reshape(shape)
    except ValueError as error:
        raise LoraError(
            f"{file}: {quoted(name)} has the shape {quoted(shape)}, which no array has; is this file a LoRA?"
        ) from error


def _from_bfloat16(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A bfloat16 is the upper half of a float32."""
    return (raw.astype(np.uint32) << 16).view(np.float32)
