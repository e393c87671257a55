"""A torch module as the program that torch's exporter writes as ONNX.

The exporter traces whatever it is given a second time, to take operators apart that ONNX has no form of. Those of a
program that is made here are known to it already, but for a few that say only what type a tensor has; with these
settled there is nothing to take apart, and the second trace, a third of an export, is left out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

aten = torch.ops.aten

_CONVERSIONS = (aten.to.dtype, aten.to.device, aten.to.dtype_layout)
_CHECK = aten._assert_tensor_metadata.default


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
    if not all(_is_pure(node) for node in program.graph.nodes):
        return program
    _settle_types(program.graph)
    return _TracedOnce(
        program.graph_module,
        program.graph,
        program.graph_signature,
        program.state_dict,
        program.range_constraints,
        program.module_call_graph,
        program.example_inputs,
        program.constants,
        verifiers=program.verifiers,
    )


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


def _is_pure(node: fx.Node) -> bool:
    """Whether a node changes none of its inputs, and holds no graph of its own."""
    if node.op != "call_function":
        return node.op in ("placeholder", "output")
    return not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable)


def _settle_types(graph: fx.Graph) -> None:
    """Remove conversions to the type that a tensor has, and checks of it; others become copies of another type."""
    for node in list(graph.nodes):
        if node.target is _CHECK:
            graph.erase_node(node)
        elif node.target in _CONVERSIONS:
            tensor, dtype = node.args[0], node.meta["val"].dtype
            if tensor.meta["val"].dtype == dtype and not any(user.op == "output" for user in node.users):
                node.replace_all_uses_with(tensor)
                graph.erase_node(node)
            else:
                node.target, node.args, node.kwargs = aten._to_copy.default, (tensor,), {"dtype": dtype}
