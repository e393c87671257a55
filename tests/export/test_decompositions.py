"""Operators that are taken apart node by node are what torch makes of them by a second trace of the whole program."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.decompositions import take_apart
from amused_edge.export.graphs import GRAPHS
from tests.support.checkpoints import TINY_COREML
from tests.support.odd_checkpoints import geometry

aten = torch.ops.aten
TABLE = dict(torch.export.default_decompositions().items())
NO_OP = {aten.clone.default}
"""The second trace copies what lies in order already; a node that is looked at alone is known to do nothing."""


def both_ways(module: nn.Module, inputs: dict[str, Any]) -> tuple[ExportedProgram, ExportedProgram]:
    """A program taken apart by nodes, and by a second trace."""
    with torch.no_grad():
        by_nodes = torch.export.export(module.eval(), (), kwargs=inputs)
        traced = torch.export.export(module, (), kwargs=inputs).run_decompositions(TABLE)
    take_apart(by_nodes, TABLE)
    return by_nodes, traced


def operators(program: ExportedProgram) -> Counter[Any]:
    found = Counter(node.target for node in program.graph.nodes if node.op == "call_function")
    return Counter({target: count for target, count in found.items() if target not in NO_OP})


def check(by_nodes: ExportedProgram, traced: ExportedProgram, inputs: dict[str, Any]) -> None:
    by_nodes.validate()
    assert operators(by_nodes) == operators(traced)
    assert [each.arg.name for each in by_nodes.graph_signature.output_specs] == [
        node.name
        for node in by_nodes.graph.output_node().args[0]  # type: ignore[union-attr]
    ]
    with torch.no_grad():
        found, expected = by_nodes.module()(**inputs), traced.module()(**inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_each_graph_is_that_of_a_second_trace(make_checkpoint: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(make_checkpoint(uvit=TINY_COREML))
    for spec in GRAPHS:
        inputs = {k: v[:1] for k, v in spec.example(checkpoint, geometry(checkpoint, (4, 6)), 2).items()}
        check(*both_ways(spec.build(checkpoint), inputs), inputs)


class Alike(nn.Module):
    """Nodes that differ only in which tensors they take, how often, in which order, or in the kind of a number."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        products = torch.stack([x @ x, x @ y, y @ x, y @ y])
        numbers = torch.where(x > 0, x, 1) + torch.where(x > 0, x, 1.0) + torch.where(x > 0, x, -0.0)
        return products, numbers, torch.stack([x, x]), torch.stack([y, x])


class Parts(nn.Module):
    """Operators of several results, not all of which are taken."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, _, third = x.chunk(3, 1)
        one, two = y.unbind()[:2]
        return third, first * 2, torch.stack([one, two, *x.split([1, 2])[1].unbind()])


class Nothing(nn.Module):
    """Gives back its inputs, or a copy, by operators that do nothing."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x.to(torch.float32), nn.functional.dropout(y, training=False), (x + y).contiguous().reshape(3, 3)


@pytest.mark.parametrize("module", [Alike(), Parts(), Nothing()], ids=["alike", "parts", "nothing"])
def test_odd_programs_are_those_of_a_second_trace(module: nn.Module) -> None:
    chance = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(3, 3, generator=chance) for name in ("x", "y")}
    by_nodes, traced = both_ways(module, inputs)
    check(by_nodes, traced, inputs)
    torch.testing.assert_close(by_nodes.module()(**inputs), module(**inputs), rtol=0, atol=1e-6)
