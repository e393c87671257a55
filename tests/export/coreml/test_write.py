"""Single modules as Core ML packages, evaluated beside the modules themselves in torch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.coreml.write import CoreMLOptions, export_coreml
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import Inputs
from amused_edge.runtime.engines.coreml.evaluator import Machine
from amused_edge.runtime.engines.coreml.program import Program
from tests.support.hard_halves import (
    LARGE_VOCABULARY,
    ids_beyond_halves,
    overflowing_response_norm,
    overflowing_rms_norm,
)
from tests.support.odd_checkpoints import (
    BY_ROLE,
    CONFIGS,
    Arrays,
    Config,
    MakeCheckpoint,
    check,
    geometry,
)
from tests.support.oracles import relative


def evaluate(program: Program, inputs: Inputs, row: int, *, half: bool = False) -> Arrays:
    """What the program makes of one row of inputs in the ONNX form."""
    feeds = {}
    for name, value in inputs.items():
        one = value[row : row + 1].numpy()
        if one.dtype == np.uint8:
            one = one.transpose(0, 3, 1, 2).astype(np.float32)
        feeds[name] = one.astype(np.int32) if one.dtype == np.int64 else one
    return Machine(program, round_halves=half).run(feeds)


def convert_and_check(checkpoint: Checkpoint, role: str, grid: tuple[int, int], folder: Path, ios: int) -> Program:
    spec = BY_ROLE[role]
    module, inputs = spec.build(checkpoint).eval(), spec.example(checkpoint, geometry(checkpoint, grid), 2)
    options = CoreMLOptions("float32", ios)
    program = export_coreml(module, inputs, spec.outputs, folder / f"{role}.mlpackage", options)
    for row in range(2):
        check(role, module, inputs, row, evaluate(program, inputs, row))
    return program


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_a_float32_package_computes_what_torch_computes(
    config: Config, make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = config.checkpoint(make_checkpoint)
    for role in config.roles:
        program = convert_and_check(checkpoint, role, config.grid, tmp_path, 17)
        assert program.system == "iOS17"


@pytest.mark.parametrize("ios", [16, 18])
def test_other_systems_compute_the_same(ios: int, make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    """Their operations differ in what they take: numbers, types of indices, forms of weights."""
    checkpoint = CONFIGS["one stage, narrow codes"].checkpoint(make_checkpoint)
    for role in ("text_encoder", "denoiser", "image_encoder"):
        program = convert_and_check(checkpoint, role, (3, 5), tmp_path, ios)
        assert program.system == f"iOS{ios}"


@torch.no_grad()
def half_and_torch(module: nn.Module, x: torch.Tensor, folder: Path) -> tuple[torch.Tensor, torch.Tensor, Program]:
    """A module's output in torch's float32, and that of its package in halves."""
    program = export_coreml(module, {"x": x}, ("y",), folder / "half.mlpackage", CoreMLOptions())
    found = evaluate(program, {"x": x}, 0, half=True)["y"]
    return module(x), torch.from_numpy(found), program


@torch.no_grad()
def test_response_norm_in_halves_survives_squares_that_overflow(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    module, x = overflowing_response_norm(make_checkpoint)
    expected, found, _ = half_and_torch(module, x, tmp_path)
    assert found.isfinite().all()
    assert relative(expected, found) <= 5e-3


def test_rms_norm_in_halves_survives_squares_that_overflow(tmp_path: Path) -> None:
    expected, found, program = half_and_torch(*overflowing_rms_norm(), tmp_path)
    assert relative(expected, found) <= 2e-3
    types = {op.operator: op.outputs[0].dtype for op in program.operations if op.operator != "cast"}
    assert types["reduce_mean"] == types["sqrt"] == "fp32"
    assert program.outputs[0].dtype == "fp16"


def test_ids_are_not_rounded_to_halves(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(make_checkpoint(text=LARGE_VOCABULARY))
    spec = BY_ROLE["text_encoder"]
    module = spec.build(checkpoint).eval()
    ids = ids_beyond_halves()
    program = export_coreml(module, {"input_ids": ids}, spec.outputs, tmp_path / "text.mlpackage", CoreMLOptions())
    with torch.no_grad():
        expected = dict(zip(spec.outputs, module(ids), strict=True))
    for row in range(2):
        found = evaluate(program, {"input_ids": ids}, row, half=True)
        for name in spec.outputs:
            assert relative(expected[name][row : row + 1], torch.from_numpy(found[name])) <= 1e-2, name


class Twins(nn.Module):
    """Matrices with the same values: both are the checkpoint's, and a recipe may treat them differently."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        super().__init__()
        self.first, self.second = (nn.ParameterDict({"weight": p}) for p in (first, second))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(x @ self.first["weight"])
        return hidden @ self.second["weight"]


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("values", ["random", "zero", "few", "few zeros"])
def test_equal_matrices_keep_names_of_their_own(values: str, precision: Any, tmp_path: Path) -> None:
    """Zeros equal their own transpose; what is small is stored otherwise."""
    width = 8 if values.startswith("few") else 24
    weight = torch.zeros(width, width) if "zero" in values else torch.randn(width, width)
    module = Twins(weight, weight.clone()).eval().requires_grad_(False)
    x = torch.randn(1, 3, width)
    program = export_coreml(module, {"x": x}, ("y",), tmp_path / "t.mlpackage", CoreMLOptions(precision=precision))
    assert {"first_weight", "second_weight"} <= set(program.constants)
    assert {"first.weight", "second.weight"} == {name for name, _ in module.named_parameters()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ios": 15}, "ios is 15; choose 16, 17, 18"),
        ({"ios": "17"}, "ios is '17'; choose"),
        ({"precision": "int8"}, "precision is 'int8'; choose float16, float32"),
        ({"precision": "fp16"}, "precision is 'fp16'; choose"),
    ],
)
def test_options_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        CoreMLOptions(**fields)
