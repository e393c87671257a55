"""A torch module as the program that torch's exporter writes as ONNX.

The exporter traces whatever it is given a second time, to take operators apart that ONNX has no form of. Those of a
program that is made here are known to it already, but for a few that say only what type a tensor has; with these
settled there is nothing to take apart, and the second trace is left out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from amused_edge.export.graph_edits import SETTLED_TYPES, is_functional, replace_nodes, rewrapped


def trace(module: nn.Module, example: dict[str, Any], dynamic: dict[str, Any] | None) -> ExportedProgram:
    """Trace a module once.

    Parameters
    ----------
    example
        Inputs by name.
    dynamic
        Axes that have no fixed length, as torch.export takes them.
    """
    program = torch.export.export(module, (), kwargs=example, dynamic_shapes=dynamic, strict=False)
    if not is_functional(program):
        return program
    replace_nodes(program, SETTLED_TYPES)
    return rewrapped(program, _TracedOnce)


class _TracedOnce(ExportedProgram):
    """Is taken apart only if there is something to take apart."""

    def run_decompositions(
        self, decomp_table: dict[Any, Callable[..., Any]] | None = None, decompose_custom_triton_ops: bool = False
    ) -> ExportedProgram:
        """Return this program, or one without the operators of the table."""
        if decomp_table is not None and not any(node.target in decomp_table for node in self.graph.nodes):
            return self
        apart: ExportedProgram = super().run_decompositions(decomp_table, decompose_custom_triton_ops)
        return apart
