"""Takes operators of a traced program apart, node by node.

torch traces the whole program a second time for that, half of an export. Most nodes are many times the same, though: an
operator, of tensors of the same shapes. What one of them is made of is traced once and put in the place of each.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx

from amused_edge.export.graph_edits import fake_mode, gives_views, is_composite, is_output, stand_in

aten = torch.ops.aten

Table = Mapping[Any, Callable[..., Any]]
"""Operator -> a function that computes the same with simpler ones."""


def take_apart(program: ExportedProgram, table: Table) -> None:
    """Do in place what `ExportedProgram.run_decompositions` does with a table.

    Parameters
    ----------
    program
        Functional (`is_functional`), with shapes that are all fixed.
    """
    graph = program.graph
    parts: dict[str, fx.Graph] = {}
    for node in tuple(graph.nodes):
        if node.op == "call_function" and _stands_for_others(node.target, table):
            kind = _kind(node)
            if kind not in parts:
                parts[kind] = _part(node, table)
            _put(graph, node, parts[kind])
    graph.eliminate_dead_code()
    program.graph_module.recompile()


def _stands_for_others(target: Any, table: Table) -> bool:
    """Say whether an operator is in the table, or a composite one that may give back its input: torch leaves none."""
    return target in table or (
        is_composite(target) and (gives_views(target) or torch.Tag.maybe_aliasing_or_mutating in target.tags)
    )


def _kind(node: fx.Node) -> str:
    """Return what two nodes have in common of which the same is made: all but which tensors they take."""
    numbers = {other: number for number, other in enumerate(node.all_input_nodes)}

    def tell(other: fx.Node) -> str:
        value = other.meta["val"]
        return f"{numbers[other]}: {value.dtype} {tuple(value.shape)} {value.stride()}"

    return repr((node.target, *fx.map_arg((node.args, node.kwargs), tell)))


def _part(node: fx.Node, table: Table) -> fx.Graph:
    """Trace what a node is made of: a graph whose inputs are the node's."""
    inputs, target = node.all_input_nodes, cast(Callable[..., Any], node.target)

    def compute(*tensors: torch.Tensor) -> Any:
        given = dict(zip(inputs, tensors, strict=True))
        args, kwargs = fx.map_arg((node.args, node.kwargs), given.__getitem__)
        return target(*args, **kwargs)

    with fake_mode(node.graph), torch.no_grad():
        # New tensors for each input: what the same part gave to several nodes is one to torch.
        values = (each.meta["val"] for each in inputs)
        tensors = [torch.empty_strided(each.shape, each.stride(), dtype=each.dtype) for each in values]
        functional = torch.func.functionalize(compute, remove="mutations")
        graph: fx.Graph = make_fx(functional, decomposition_table=dict(table))(*tensors).graph
        return graph


def _put(graph: fx.Graph, node: fx.Node, part: fx.Graph) -> None:
    """Put a part in the place of a node."""
    inputs = node.all_input_nodes
    copies = dict(zip((each for each in part.nodes if each.op == "placeholder"), inputs, strict=True))
    with graph.inserting_before(node):
        for each in part.nodes:
            if each.op == "call_function":
                copies[each] = graph.node_copy(each, copies.__getitem__)
    (result,) = part.output_node().args
    for taker, given in _takers(node, result):
        new = copies[given]
        if new in inputs and is_output(taker):
            with graph.inserting_before(node):
                new = graph.call_function(aten.clone.default, (new,))
                new.meta["val"] = taker.meta["val"]
        stand_in(taker, new, is_new=new not in inputs)
    if not isinstance(result, fx.Node):
        graph.erase_node(node)


def _takers(node: fx.Node, result: Any) -> list[tuple[fx.Node, fx.Node]]:
    """Return the nodes that have a result of an operator, each with the node of its part that gives it."""
    if isinstance(result, fx.Node):
        return [(node, result)]
    return [(user, result[user.args[1]]) for user in node.users if user.target is operator.getitem]
