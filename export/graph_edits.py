"""Edits of a traced program's graph.

To take a program's operators apart torch traces it a second time, a third of an export. Where little must change, nodes
are replaced instead.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.export import ExportedProgram

aten = torch.ops.aten

Kind = TypeVar("Kind", bound=ExportedProgram)

Put = Callable[..., fx.Node]
"""`put(operator, *arguments, **options)` adds a node before the one that is to be replaced."""

Rule = Callable[..., fx.Node | None]
"""`rule(put, node, *arguments, **options)` -> what stands for the node from now on; None: itself. The rest is what the
node gives its operator.
"""


def dtype_of(node: fx.Node) -> torch.dtype:
    """Return the type of the tensor that a node computes."""
    dtype: torch.dtype = node.meta["val"].dtype
    return dtype


def is_functional(program: ExportedProgram) -> bool:
    """Say whether no node changes its inputs or holds a graph of its own: what edits need."""
    return all(_is_functional(node) for node in program.graph.nodes)


def _is_functional(node: fx.Node) -> bool:
    if node.op != "call_function":
        return node.op in ("placeholder", "output")
    return not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable)


def is_composite(operator: Any) -> bool:
    """Say whether torch has no kernel of an operator, which stands for others."""
    return isinstance(operator, torch._ops.OpOverload) and operator.has_kernel_for_dispatch_key(
        torch._C.DispatchKey.CompositeImplicitAutograd
    )


def gives_views(operator: torch._ops.OpOverload) -> bool:
    """Say whether what an operator returns may share memory with its inputs."""
    return any(result.alias_info is not None for result in operator._schema.returns)


def replace_nodes(program: ExportedProgram, rules: Mapping[Any, Rule]) -> None:
    """Replace nodes of a functional program, in place, by what the rules of their operators put there.

    What is put in a node's place has its name, by which a program knows its outputs. An output stays if nothing new is
    put in its place.
    """
    graph = program.graph
    put, traced = _putter(graph), dict.fromkeys(graph.nodes)
    for node in traced:
        if node.target in rules:
            with graph.inserting_before(node):
                new = rules[node.target](put, node, *node.args, **node.kwargs)
            if new is not None and not (new in traced and is_output(node)):
                stand_in(node, new, is_new=new not in traced)
    program.graph_module.recompile()


def stand_in(node: fx.Node, new: fx.Node, *, is_new: bool) -> None:
    """Put one node in the place of another; a new one gets its name, by which a program knows its outputs."""
    node.replace_all_uses_with(new)
    node.graph.erase_node(node)
    if is_new:
        new.name = node.name


def is_output(node: fx.Node) -> bool:
    """Say whether a program gives what a node computes."""
    return any(user.op == "output" for user in node.users)


def _putter(graph: fx.Graph) -> Put:
    mode = fake_mode(graph)

    def put(operator: Any, *arguments: Any, **options: Any) -> fx.Node:
        node = graph.call_function(operator, arguments, options)
        values = fx.map_arg((node.args, node.kwargs), lambda other: other.meta["val"])
        with mode:
            node.meta["val"] = operator(*values[0], **values[1])
        return node

    return put


def fake_mode(graph: fx.Graph) -> FakeTensorMode:
    """Return what tells shapes and types of tensors without computing them."""
    values = (node.meta.get("val") for node in graph.nodes)
    return next(value.fake_mode for value in values if isinstance(value, FakeTensor))


def first_argument(put: Put, node: fx.Node, x: fx.Node, *_: Any, **__: Any) -> fx.Node:
    """Leave out a node that does nothing to its input."""
    return x


def converted(put: Put, node: fx.Node, x: fx.Node, *_: Any, **__: Any) -> fx.Node:
    """Leave out a conversion to the type that the tensor has; another becomes a copy of that type."""
    if dtype_of(x) == dtype_of(node) and not is_output(node):
        return x
    return put(aten._to_copy.default, x, dtype=dtype_of(node))


SETTLED_TYPES: dict[Any, Rule] = {
    **dict.fromkeys((aten.to.dtype, aten.to.device, aten.to.dtype_layout), converted),
    aten._assert_tensor_metadata.default: first_argument,
}
"""What says of a tensor which type it has, or checks it."""


def rewrapped(program: ExportedProgram, kind: type[Kind]) -> Kind:
    """Return a program as one of another class, which behaves differently in what converters ask of it."""
    return kind(
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
