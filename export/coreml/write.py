"""Writes a torch module as a Core ML `.mlpackage`."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.export.coreml.trace import trace
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import Inputs
from amused_edge.export.precision import FLOAT32_OUTPUTS, PrecisionOptions
from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.engines.coreml.program import FLOATS, Program, Value
from amused_edge.runtime.engines.coreml.quiet_coremltools import ct
from amused_edge.runtime.engines.coreml.saving import converting, save_package
from amused_edge.runtime.errors import quoted

SYSTEMS = {16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


@dataclass(frozen=True)
class CoreMLOptions(PrecisionOptions):
    """How a checkpoint becomes Core ML packages.

    Attributes
    ----------
    ios
        The oldest iOS that opens them (macOS, watchOS, tvOS and visionOS of the same year): 16, 17 or 18.
    """

    ios: int = 17

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ios not in SYSTEMS:
            raise ExportError(f"ios is {quoted(self.ios)}; choose {', '.join(str(ios) for ios in SYSTEMS)}")


def export_coreml(
    module: nn.Module, example: Inputs, outputs: tuple[str, ...], path: Path, options: CoreMLOptions
) -> Program:
    """Write the package `path` with a static batch of 1.

    Parameters
    ----------
    module
        In float32; it stays as it is.
    example
        Inputs by name; the first row is taken.
    outputs
        Names of what the module returns.

    Returns
    -------
    The program, read back from the package.
    """
    half = options.stored(module) == "float16"
    layer_norms = ct.transform.FP16ComputePrecision(op_selector=lambda op: op.op_type == "layer_norm")
    common: dict[str, Any] = {"minimum_deployment_target": SYSTEMS[options.ios], "skip_model_load": True}
    with converting(path.parent):
        program = trace(module, example, half=half)
        mil = ct.convert(
            program,
            convert_to="milinternal",
            inputs=_inputs(example),
            outputs=_outputs(outputs),
            compute_precision=layer_norms if options.precision == "float16" else ct.precision.FLOAT32,
            pass_pipeline=_passes(),
            **common,
        )
        _name_weights(mil, module, torch.float16 if half else torch.float32)
        package = ct.convert(
            mil,
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
            **common,
        )
        return save_package(package, path)


def tensor_specs(program: Program, values: tuple[Value, ...]) -> tuple[TensorSpec, ...]:
    """Return the manifest's form of a program's inputs or outputs."""
    specs = []
    for value in values:
        if value.name in program.pictures:
            batch, channels, height, width = value.shape
            specs.append(TensorSpec(value.name, "uint8", (batch, height, width, channels), "picture"))
        else:
            specs.append(TensorSpec(value.name, FLOATS.get(value.dtype, value.dtype), value.shape))
    return tuple(specs)


def weight_name(parameter: str) -> str:
    """Return a parameter's name in a package: MIL's names have no dots."""
    return parameter.replace(".", "_")


def _passes() -> Any:
    """Return the converter's passes but the one that merges equal constants, whose names are then lost."""
    passes = ct.PassPipeline()
    passes.remove_passes({"common::const_deduplication"})
    return passes


def _inputs(example: Inputs) -> list[Any] | None:
    """Return the pictures among the inputs; the program itself says the others."""
    if "image" not in example:
        return None
    batch, height, width, channels = example["image"][:1].shape
    return [ct.ImageType("image", shape=(batch, channels, height, width), color_layout=ct.colorlayout.RGB)]


def _outputs(names: tuple[str, ...]) -> list[Any]:
    if names == ("image",):
        return [ct.ImageType("image", color_layout=ct.colorlayout.RGB)]
    return [ct.TensorType(name, dtype=np.float32 if name in FLOAT32_OUTPUTS else None) for name in names]


def _name_weights(mil: Any, module: nn.Module, stored: torch.dtype) -> None:
    """Give constants the names of the module's parameters, which the converter loses where it transposes them.

    They are found by their content.
    """
    names: dict[bytes, list[str]] = {}
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            for digest in {_digest(value) for value in _forms(parameter.detach().to(stored).numpy())}:
                names.setdefault(digest, []).append(weight_name(name))
    for op in mil.functions["main"].operations:
        constant = op.outputs[0].val if op.op_type == "const" else None
        if isinstance(constant, np.ndarray) and constant.ndim > 1:
            found = names.get(_digest(constant))
            if found:
                op.name = op.outputs[0].name = found.pop(0) if len(found) > 1 else found[0]


def _forms(parameter: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield what a parameter may have become: a matrix as it is or transposed."""
    yield parameter
    if parameter.ndim == 2:
        yield parameter.T


def _digest(value: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(f"{value.dtype}{value.shape}".encode())
    digest.update(np.ascontiguousarray(value).data)
    return digest.digest()
