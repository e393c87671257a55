"""What Core ML's converter is given is traced once; what the converter does not know is replaced in its graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.coreml.trace import trace
from amused_edge.export.coreml.write import CoreMLOptions, export_coreml
from amused_edge.export.graphs import GRAPHS
from amused_edge.export.precision import HALF
from amused_edge.runtime.engines.coreml.evaluator import Machine
from tests.support.checkpoints import TINY_COREML
from tests.support.odd_checkpoints import geometry
from tests.support.one_trace import InPlace


@pytest.mark.usefixtures("no_second_trace")
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_no_graph_is_traced_twice(precision: Any, make_checkpoint: Callable[..., Path]) -> None:
    """`test_write` says what they compute."""
    checkpoint, options = open_checkpoint(make_checkpoint(uvit=TINY_COREML)), CoreMLOptions(precision)
    for spec in GRAPHS:
        module, example = spec.build(checkpoint).eval(), spec.example(checkpoint, geometry(checkpoint, (4, 6)), 2)
        once = trace(module, example, half=options.stored(module) == "float16")
        assert once.dialect == "ATEN"
        assert [spec.arg.name for spec in once.graph_signature.output_specs] == [
            node.name
            for node in once.graph.output_node().args[0]  # type: ignore[union-attr]
        ]


class Known(nn.Module):
    """All that is replaced: numbers among halves, views that stand for others, and what does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.plain = nn.LayerNorm(6), nn.LayerNorm(6, elementwise_affine=False)
        self.dropout = nn.Dropout(0.5)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 4, 6) -> (1, 24)."""
        first, second = self.dropout(self.norm(x)).chunk(2, 1)
        turned = torch.cat([first * 0.1 + 3, second / 3 - 1], 1).permute(0, 2, 1).contiguous()
        shaped = torch.where(turned >= 0, turned, -0.25).reshape(1, 4, 6)
        return torch.ops.aten.alias(self.plain(shaped)).to(x.dtype).flatten(1)


class Rows(nn.Module):
    """Parts of unequal length: five rows in three parts are two, two and one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 5, 6) -> (1, 1, 6)."""
        a, b, c = x.chunk(3, 1)
        return a.mean(1, keepdim=True) - b.sum(1, keepdim=True) * c


class Composite(nn.Module):
    """Has a view that the converter does not know, and that stands for others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 4, 6) -> (1, 6, 2, 2)."""
        return (x.unflatten(1, (2, 2)).movedim(3, 1) * 2).contiguous()


def computed(module: nn.Module, x: torch.Tensor, folder: Path, precision: Any) -> torch.Tensor:
    program = export_coreml(module, {"x": x}, ("y",), folder / "model.mlpackage", CoreMLOptions(precision))
    return torch.from_numpy(Machine(program, round_halves=precision == "float16").run({"x": x.numpy()})["y"])


@pytest.mark.usefixtures("no_second_trace")
@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 4e-3), ("float32", 1e-5)])
@pytest.mark.parametrize("module", [Known(), Rows()], ids=["known", "rows"])
def test_what_is_replaced_computes_the_same(
    module: nn.Module, precision: Any, tolerance: float, tmp_path: Path
) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 5 if isinstance(module, Rows) else 4, 6)))
    x = x.to(torch.float32)
    expected = module.eval()(x).detach()
    found = computed(module, x, tmp_path, precision)
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


def test_numbers_have_the_type_of_the_halves_they_meet() -> None:
    program = trace(Known(), {"x": torch.randn(1, 4, 6)}, half=True)
    values = {node.target: node.meta["val"] for node in program.graph.nodes if node.op == "call_function"}
    assert values[torch.ops.aten.full.default].dtype == HALF
    assert values[torch.ops.aten.layer_norm.default].dtype == torch.float32
    assert values[torch.ops.aten.where.self].dtype == HALF
    assert not {torch.ops.aten.where.ScalarOther, torch.ops.aten.chunk.default} & values.keys()


@pytest.mark.parametrize("module", [Composite(), InPlace()], ids=["a view of views", "works in place"])
def test_what_torch_must_take_apart_it_does(module: nn.Module, tmp_path: Path) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 6))).to(torch.float32)
    expected = module(x.clone())
    torch.testing.assert_close(computed(module.eval(), x, tmp_path, "float32"), expected, rtol=1e-5, atol=1e-5)
