"""Large group norms in slices: the same numbers, and never a tensor of the norm's full size between."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.onnx import sliced_norms as onnx_slices
from amused_edge.export.onnx.write import export_onnx
from tests.support.exported import operators, run


class Norm(nn.Module):
    """GroupNorm and SiLU of channels with weights of their own."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.groups = groups
        self.weight = nn.Parameter(torch.randn(channels, generator=generator))
        self.bias = nn.Parameter(torch.randn(channels, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(F.group_norm(x, self.groups, self.weight, self.bias, 1e-6))


@pytest.mark.parametrize(
    ("channels", "groups", "limit", "slices"),
    [
        (12, 6, 12 * 35 * 4, 1),
        (12, 6, 12 * 35 * 4 - 1, 2),
        (12, 6, 12 * 35, 6),  # quarters would cut groups
        (12, 6, 1, 6),  # no more slices than groups
        (8, 1, 1, 1),
        (9, 9, 3 * 35 * 4, 3),
    ],
)
def test_slices_of_whole_groups(
    channels: int, groups: int, limit: int, slices: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """5 x 7 pixels, two pictures of very different sizes."""
    monkeypatch.setattr(onnx_slices, "SLICE_BYTES", limit)
    module, file = Norm(channels, groups).eval(), tmp_path / "model.onnx"
    x = torch.randn(2, channels, 5, 7) * torch.tensor([1.0, 100.0]).reshape(2, 1, 1, 1)
    export_onnx(module, {"x": x}, ("y",), file, optimize="cpu")
    found = operators(file)
    assert found["InstanceNormalization"] == slices
    assert found["Slice"] == (slices if slices > 1 else 0)
    assert found["Concat"] == (1 if slices > 1 else 0)
    with torch.no_grad():
        expected = module.double()(x.double()).numpy()
    np.testing.assert_allclose(run(file, {"x": x}), expected, rtol=1e-4, atol=1e-5)
    if slices > 1:
        assert run(file, {"x": x[:1]}).shape == (1, channels, 5, 7)


def test_portable_graphs_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_slices, "SLICE_BYTES", 1)
    export_onnx(Norm(12, 6).eval(), {"x": torch.randn(2, 12, 5, 7)}, ("y",), tmp_path / "model.onnx")
    assert operators(tmp_path / "model.onnx")["InstanceNormalization"] == 1
