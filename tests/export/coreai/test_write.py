"""Single modules as Core AI packages, executed beside the modules themselves in torch."""

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.errors import ExportError
from tests.support.coreai import as_torch, execute, needs_coreai
from tests.support.hard_halves import (
    LARGE_VOCABULARY,
    ids_beyond_halves,
    overflowing_response_norm,
    overflowing_rms_norm,
)
from tests.support.odd_checkpoints import (
    BY_ROLE,
    CONFIGS,
    Config,
    MakeCheckpoint,
    check,
    geometry,
)
from tests.support.one_trace import InPlace
from tests.support.oracles import relative

pytestmark = needs_coreai

write: Any = pytest.importorskip("amused_edge.export.coreai.write", exc_type=ImportError)
FLOAT32 = {"precision": "float32"}


def export(module: nn.Module, inputs: Any, outputs: tuple[str, ...], folder: Path, **options: Any) -> Path:
    path = folder / "module.aimodel"
    write.export_coreai(module.eval(), inputs, outputs, path, write.CoreAIOptions(**options))
    return path


@pytest.mark.usefixtures("no_second_trace")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_a_float32_package_computes_what_torch_computes(
    config: Config, make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = config.checkpoint(make_checkpoint)
    for role in config.roles:
        spec = BY_ROLE[role]
        module, inputs = spec.build(checkpoint).eval(), spec.example(checkpoint, geometry(checkpoint, config.grid), 2)
        package = export(module, inputs, spec.outputs, tmp_path / role, **FLOAT32)
        found = execute(package, inputs, 1)
        if "image" in found:
            assert found["image"].dtype == np.uint8
            found["image"] = found["image"].transpose(0, 3, 1, 2).astype(np.float32)
        check(role, module, inputs, 1, found)


def test_a_module_that_works_in_place(tmp_path: Path) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 6))).to(torch.float32)
    package = export(InPlace(), {"x": x}, ("y",), tmp_path, **FLOAT32)
    np.testing.assert_allclose(execute(package, {"x": x}, 0)["y"], InPlace()(x), rtol=1e-6)


@torch.no_grad()
def half_and_torch(module: nn.Module, x: torch.Tensor, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A module's output in torch's float32, and that of its package in halves."""
    found = execute(export(module, {"x": x}, ("y",), folder), {"x": x}, 0)["y"]
    assert found.dtype == np.float16
    return module(x), as_torch(found)


@torch.no_grad()
def test_response_norm_in_halves_survives_squares_that_overflow(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    module, x = overflowing_response_norm(make_checkpoint)
    expected, found = half_and_torch(module, x, tmp_path)
    assert found.isfinite().all()
    assert relative(expected, found) <= 5e-3


def test_rms_norm_in_halves_survives_squares_that_overflow(tmp_path: Path) -> None:
    expected, found = half_and_torch(*overflowing_rms_norm(), tmp_path)
    assert relative(expected, found) <= 2e-3


def test_ids_are_not_rounded_to_halves(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(make_checkpoint(text=LARGE_VOCABULARY))
    spec = BY_ROLE["text_encoder"]
    module = spec.build(checkpoint).eval()
    ids = ids_beyond_halves()
    package = export(module, {"input_ids": ids}, spec.outputs, tmp_path)
    with torch.no_grad():
        expected = dict(zip(spec.outputs, module(ids), strict=True))
    for row in range(2):
        found = execute(package, {"input_ids": ids}, row)
        for name in spec.outputs:
            assert relative(expected[name][row : row + 1], as_torch(found[name])) <= 1e-2, name


class Products(nn.Module):
    """A product with a matrix and one of two inputs, with sums of 512 addends."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(512, 16, generator=torch.Generator().manual_seed(1)) / 16)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x @ self.weight, x @ y.transpose(1, 2)


def test_products_of_halves_are_rounded_once(tmp_path: Path) -> None:
    """Each sum of 512 is the half that is nearest to that of float32; rounded at each addend, it would not be."""
    generator = torch.Generator().manual_seed(2)
    inputs = {name: torch.randn(1, 8, 512, generator=generator).half().float() for name in ("x", "y")}
    module = Products().requires_grad_(False)
    found = execute(export(module, inputs, ("by_matrix", "by_input"), tmp_path), inputs, 0)
    x, y = (inputs[name].double().numpy() for name in ("x", "y"))
    weight = module.weight.half().double().numpy()
    for name, other in (("by_matrix", weight), ("by_input", y.transpose(0, 2, 1))):
        assert found[name].dtype == np.float16
        exact, addends = x @ other, np.abs(x) @ np.abs(other)
        step = np.spacing(np.abs(exact).astype(np.float16)).astype(np.float64)
        assert (np.abs(found[name] - exact) <= 0.5 * step + 1e-6 * addends).all(), name


class Nearest(nn.Module):
    """What finds the nearest code, alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmin(-1)


def test_the_first_of_the_smallest_is_chosen(tmp_path: Path) -> None:
    x = torch.tensor([[[3.0, -1.0, -1.0], [0.0, -0.0, 0.0], [2.0, 2.0, 1.0], [-5.0, 4.0, -5.0], [1e-40, 0.0, 0.0]]])
    found = execute(export(Nearest(), {"x": x}, ("y",), tmp_path, **FLOAT32), {"x": x}, 0)["y"]
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 0, 2, 0, 1]]


class Normed(nn.Module):
    """What the converter makes inner graphs of, twice, and weights of which two are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(64) for _ in range(2))
        self.linear = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm in self.norms:
            x = self.linear(norm(x))
        return x


def test_the_same_module_gives_the_same_files(tmp_path: Path) -> None:
    """Nothing of the day, the place or the process is in them, and nothing that Core AI drew."""
    module, inputs = Normed(), {"x": torch.ones(1, 2, 64)}
    first, second = (export(module, inputs, ("y",), tmp_path / name) for name in ("first", "second"))
    files = {path.name: path.read_bytes() for path in first.iterdir()}
    assert {path.name: path.read_bytes() for path in second.iterdir()} == files
    assert list(json.loads(files["metadata.json"])) == ["assetVersion", "producer"]

    from amused_edge.runtime.engines.coreai.bytecode import read_blobs
    from amused_edge.runtime.engines.coreai.program import Program

    graphs = [op for op in Program(first).operations() if op.name == "coreai.graph"]
    assert sorted(str(op.attributes["sym_name"]) for op in graphs) == ['"layer_norm_0"', '"main"']
    values = read_blobs(first / "main.mlirb")
    assert set(values) == {f"constant_{number}" for number in range(len(values))}
    assert 1 <= len(values) <= 5
    x = torch.randn(1, 2, 64, generator=torch.Generator().manual_seed(0))
    assert relative(module(x).detach(), as_torch(execute(first, {"x": x}, 0)["y"])) < 1e-2


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Core AI's `RuntimeError` went past what makes one line of a full disk."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"Core AI could not write module.aimodel: .*No space left on device"):
        export(Normed(), {"x": torch.ones(1, 2, 64)}, ("y",), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_halves_are_refused(tmp_path: Path) -> None:
    module = Products().requires_grad_(False)
    module.weight[3, 4] = 1e5
    inputs = {name: torch.ones(1, 2, 512) for name in ("x", "y")}
    with pytest.raises(ExportError, match=r"weight has values beyond the range of halves \(the largest is 100000"):
        export(module, inputs, ("a", "b"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["int8", "fp16", "", None])
def test_precisions_that_are_not_there(precision: Any) -> None:
    with pytest.raises(ExportError, match="choose float16, float32"):
        write.CoreAIOptions(precision)
