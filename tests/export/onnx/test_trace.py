"""What is traced once is written as what torch's exporter writes of the module itself, which traces it twice, and what
is simplified by few rules as what onnxscript makes of it by all that it has.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnxscript.optimizer import optimize_ir
from torch import nn

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.onnx import write
from amused_edge.export.onnx.simplify import _keeps
from amused_edge.export.onnx.trace import trace
from amused_edge.export.onnx.write import export_onnx
from tests.support.checkpoints import TINY_COREML
from tests.support.exported import operators, run
from tests.support.odd_checkpoints import BY_ROLE, geometry
from tests.support.one_trace import forbid_second_trace


def optimize_by_all_rules(model: ir.Model, weights: set[str]) -> None:
    optimize_ir(model, should_fold=lambda node: _keeps(weights, node))


@pytest.mark.parametrize("role", ["text_encoder", "denoiser"])
def test_a_graph_is_that_of_two_traces_and_all_rules(
    role: str, make_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many operators of each kind, and numbers that are the same to the last bit, for two rows and for three."""
    checkpoint, spec = open_checkpoint(make_checkpoint(uvit=TINY_COREML)), BY_ROLE[role]
    module, example = spec.build(checkpoint).eval(), spec.example(checkpoint, geometry(checkpoint, (4, 4)), 2)
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    with monkeypatch.context() as patch:
        forbid_second_trace(patch)
        export_onnx(module, example, spec.outputs, once)
    with monkeypatch.context() as patch:
        patch.setattr(write, "trace", lambda module, *_: module)  # torch's exporter is handed the module
        patch.setattr(write, "simplify", optimize_by_all_rules)
        export_onnx(module, example, spec.outputs, twice)
    assert operators(once) == operators(twice)
    for value, same in zip(ir.load(once).graph.outputs, ir.load(twice).graph.outputs, strict=True):
        assert (value.name, value.shape, value.dtype) == (same.name, same.shape, same.dtype)
    for feeds in (example, {name: torch.cat([value, value[:1]]) for name, value in example.items()}):
        np.testing.assert_array_equal(run(once, feeds), run(twice, feeds))


class Types(nn.Module):
    """Says of tensors what type they have, where it is that type and where it is another; last of what it gives."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = (x.to(torch.float32) * 2.7).to(torch.int64)
        return (y.to(torch.int64) + x.to("cpu").to(torch.int32)).to(torch.float32).to(torch.float32)


@pytest.mark.usefixtures("no_second_trace")
def test_types_that_are_said_are_kept(tmp_path: Path) -> None:
    x = torch.tensor([[-1.9, 2.4, 7.7]]).repeat(2, 1)
    export_onnx(Types().eval(), {"x": x}, ("y",), tmp_path / "model.onnx")
    np.testing.assert_array_equal(run(tmp_path / "model.onnx", {"x": x}), Types()(x).numpy())
    assert operators(tmp_path / "model.onnx")["Cast"] <= 4


class InPlace(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.to(torch.float32) * 2
        y[:, 0] = 1
        return y.add_(x.to(torch.float32))


class Unknown(nn.Module):
    """ONNX has no such operator, and what it is made of."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.entr(x.abs()) + torch.logcumsumexp(x, 1).to(torch.float32) + x.std(1, keepdim=True)


@pytest.mark.parametrize("module", [InPlace(), Unknown()], ids=["works in place", "has no form in ONNX"])
def test_what_must_be_taken_apart_is(module: nn.Module, tmp_path: Path) -> None:
    x = torch.tensor([[0.3, 1.0, 2.0, -0.5]]).repeat(2, 1)
    expected = module(x.clone()).numpy()
    export_onnx(module.eval(), {"x": x}, ("y",), tmp_path / "model.onnx")
    np.testing.assert_allclose(run(tmp_path / "model.onnx", {"x": x}), expected, rtol=1e-6)


def test_the_module_stays_as_it_is(tmp_path: Path) -> None:
    module = nn.Linear(3, 2).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    program = trace(module, {"input": torch.randn(2, 3)}, None)
    torch.testing.assert_close(program.module()(input=torch.ones(2, 3)), module(torch.ones(2, 3)))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
