"""Writes a torch module as a Core AI `.aimodel`: static batch of 1, whole numbers as int32, pictures as uint8."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from amused_edge.export.coreai.names import settle_names
from amused_edge.export.coreai.quiet_coreai_torch import TorchConverter, quietly
from amused_edge.export.coreai.trace import trace
from amused_edge.export.graphs import Inputs
from amused_edge.export.precision import FLOAT32_OUTPUTS, PrecisionOptions, half_input, to_half
from amused_edge.runtime.engines.coreai.program import save_program


@dataclass(frozen=True)
class CoreAIOptions(PrecisionOptions):
    """How a checkpoint becomes Core AI packages."""


def export_coreai(
    module: nn.Module, example: Inputs, outputs: tuple[str, ...], path: Path, options: CoreAIOptions
) -> None:
    """Write the package `path`.

    Parameters
    ----------
    module
        In float32; it stays as it is.
    example
        Inputs by name; the first row is taken.
    outputs
        Names of what the module returns.
    """
    half = options.stored(module) == "float16"
    stored = to_half(module) if half else module
    traced = _WithFloat32Outputs(stored, outputs) if half else stored
    with quietly():
        exported = trace(traced, {name: _input(name, value[:1], half) for name, value in example.items()})
        converter = TorchConverter(mode=TorchConverter.Mode.RELEASE)
        program = converter.add_exported_program(exported, output_names=outputs).to_coreai()
        settle_names(program, stored)
        save_program(program, path)


def _input(name: str, value: torch.Tensor, half: bool) -> torch.Tensor:
    if value.dtype == torch.int64:
        return value.to(torch.int32)
    return half_input(name, value) if half else value


class _WithFloat32Outputs(nn.Module):
    """A module in halves whose outputs that an app reads are float32."""

    def __init__(self, module: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.outputs = outputs

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See the module."""
        found = self.module(**inputs)
        values = found if isinstance(found, tuple) else (found,)
        return tuple(
            value.float() if name in FLOAT32_OUTPUTS else value
            for name, value in zip(self.outputs, values, strict=True)
        )
