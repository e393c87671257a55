"""A torch module as the program that Core AI's converter reads, traced once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from amused_edge.export.coreai.quiet_coreai_torch import get_decomp_table
from amused_edge.export.decompositions import take_apart
from amused_edge.export.graph_edits import is_functional
from amused_edge.export.graphs import Inputs

aten = torch.ops.aten


def trace(module: nn.Module, inputs: Inputs) -> ExportedProgram:
    """Trace a module of fixed shapes, and take its operators apart into those that the converter knows."""
    table = {**get_decomp_table(), **_DECOMPOSITIONS}
    with torch.no_grad():
        program = torch.export.export(module.eval(), (), kwargs=inputs)
        if not is_functional(program):
            decomposed: ExportedProgram = program.run_decompositions(table)
            return decomposed
        take_apart(program, table)
        return program


def _argmin(x: torch.Tensor, dim: int | None = None, keepdim: bool = False) -> torch.Tensor:
    """Negation is exact and keeps ties, of which both take the first."""
    return torch.argmax(-x, dim, keepdim)


_DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {aten.argmin.default: _argmin}
"""Operators that neither the converter nor its table knows."""
