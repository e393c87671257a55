"""Single modules as Core ML packages, evaluated beside the modules themselves in torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.coreml.write import CoreMLOptions, export_coreml
from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import GRAPHS, Inputs
from amused_edge.export.modules.denoiser import ConvNeXtBlock
from amused_edge.export.modules.layers import GlobalResponseNorm, RMSNorm
from amused_edge.export.modules.tensors import Tensors, declared_shapes
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.engines.coreml.evaluator import Machine
from amused_edge.runtime.engines.coreml.program import Program
from tests.support.oracles import relative

BY_ROLE = {spec.role: spec for spec in GRAPHS}
UVIT, VQGAN, TEXT = ("conditioner", "denoiser"), ("image_decoder", "image_encoder"), ("text_encoder",)
TOLERANCE = 1e-4
Arrays = dict[str, NDArray[Any]]

MakeCheckpoint = Callable[..., Path]


@dataclass(frozen=True)
class Config:
    """What a checkpoint has that others have not, the roles that it shows in, and a grid (h, w) of tokens."""

    roles: tuple[str, ...]
    grid: tuple[int, int]
    uvit: dict[str, Any] | None = None
    vqgan: dict[str, Any] | None = None
    text: dict[str, Any] | None = None

    def checkpoint(self, make: MakeCheckpoint) -> Checkpoint:
        uvit = {"num_hidden_layers": 1, **(self.uvit or {})}
        return open_checkpoint(make(uvit=uvit, vqgan=self.vqgan, text=self.text))


CONFIGS = {
    "down and up, biases": Config(UVIT, (2, 6), {"downsample": True, "upsample": True, "use_bias": True}),
    "one width": Config(("conditioner",), (3, 5), {"block_out_channels": 32, "num_res_blocks": 2}),
    "odd sinusoids, plain norms, one head": Config(
        UVIT,
        (3, 5),
        {
            "micro_cond_encode_dim": 7,
            "micro_cond_embed_dim": 35,
            "ln_elementwise_affine": False,
            "num_attention_heads": 1,
        },
    ),
    "attention": Config(VQGAN, (3, 5), vqgan={"mid_block_add_attention": True}),
    "one stage, narrow codes": Config(
        VQGAN,
        (7, 3),
        vqgan={
            "block_out_channels": (12,),
            "down_block_types": ("DownEncoderBlock2D",),
            "up_block_types": ("UpDecoderBlock2D",),
            "vq_embed_dim": 3,
        },
    ),
    "quick gelu, end by value": Config(TEXT, (2, 2), text={"eos_token_id": 2}),
    "gelu, end by id": Config(TEXT, (2, 2), text={"hidden_act": "gelu", "eos_token_id": 1113}),
}


def geometry(checkpoint: Checkpoint, grid: tuple[int, int]) -> Geometry:
    sides = [side * checkpoint.vqgan.factor for side in grid]
    return Geometry(*sides, *grid, checkpoint.uvit.codebook_size, checkpoint.mask_token_id, checkpoint.text_length)


def evaluate(program: Program, inputs: Inputs, row: int, *, half: bool = False) -> Arrays:
    """What the program makes of one row of inputs in the ONNX form."""
    feeds = {}
    for name, value in inputs.items():
        one = value[row : row + 1].numpy()
        if one.dtype == np.uint8:
            one = one.transpose(0, 3, 1, 2).astype(np.float32)
        feeds[name] = one.astype(np.int32) if one.dtype == np.int64 else one
    return Machine(program, round_halves=half).run(feeds)


@torch.no_grad()
def check(role: str, module: nn.Module, inputs: Inputs, row: int, found: Arrays) -> None:
    """Floats within the tolerance; pixels the nearest whole numbers, and codes the nearest ones, within it."""
    one = {name: value[row : row + 1] for name, value in inputs.items()}
    if role == "image_decoder":
        exact = module.pixels(one["tokens"]).numpy() * 255  # type: ignore[operator]
        planes = found["image"]
        assert planes.shape == exact.shape
        assert np.array_equal(planes, np.rint(planes))
        assert np.abs(planes - exact).max() <= 0.5 + 255 * TOLERANCE
    elif role == "image_encoder":
        distances = module.distances(one["image"]).numpy()  # type: ignore[operator]
        assert (found["tokens"].dtype, found["tokens"].shape) == (np.int32, distances.shape[:-1])
        chosen = np.take_along_axis(distances, found["tokens"][..., None].astype(int), -1)[..., 0]
        assert (chosen <= distances.min(-1) * (1 + TOLERANCE)).all()
    else:
        result = module(**one)
        expected = result if isinstance(result, tuple) else (result,)
        for name, reference in zip(BY_ROLE[role].outputs, expected, strict=True):
            assert relative(reference, torch.from_numpy(found[name])) <= TOLERANCE, name


def convert_and_check(checkpoint: Checkpoint, role: str, grid: tuple[int, int], folder: Path, ios: int) -> Program:
    spec = BY_ROLE[role]
    module, inputs = spec.build(checkpoint).eval(), spec.example(checkpoint, geometry(checkpoint, grid), 2)
    options = CoreMLOptions(ios, "float32")
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


def random_tensors(build: Callable[[Tensors], nn.Module], **scales: float) -> Tensors:
    """Seeded values near zero, norms near one, those of `scales` times a factor."""
    shapes = declared_shapes(build)
    generator = torch.Generator().manual_seed(3)

    def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        assert shapes[name] == shape
        noise = torch.randn(shape, generator=generator)
        value = noise / shape[1] ** 0.5 if len(shape) == 2 else 1 + 0.2 * noise
        return value * scales.get(name.replace(".", "_"), 1.0)

    return Tensors(read)


class OnAGrid(nn.Module):
    """A ConvNeXt block on a grid of 6 x 4."""

    def __init__(self, config: Any, tensors: Tensors) -> None:
        super().__init__()
        self.block = ConvNeXtBlock(config, tensors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x, 6, 4)  # type: ignore[no-any-return]


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
    config = open_checkpoint(make_checkpoint()).uvit
    build = lambda tensors: OnAGrid(config, tensors)  # noqa: E731
    module = build(random_tensors(build, channelwise_linear_1_weight=1000.0, channelwise_linear_2_weight=1e-3)).eval()
    x = torch.randn(1, 24, config.block_out_channels, generator=torch.Generator().manual_seed(5))
    inside: list[torch.Tensor] = []
    norm = next(part for part in module.modules() if isinstance(part, GlobalResponseNorm))
    hook = norm.register_forward_pre_hook(lambda _, given: inside.append(given[0]))
    module(x)
    hook.remove()
    assert inside[0].abs().max() < 65504 < inside[0].abs().max() ** 2  # else it would show nothing
    expected, found, _ = half_and_torch(module, x, tmp_path)
    assert found.isfinite().all()
    assert relative(expected, found) <= 5e-3


def test_rms_norm_in_halves_survives_squares_that_overflow(tmp_path: Path) -> None:
    build = lambda tensors: RMSNorm(tensors, 16, 1e-6, True)  # noqa: E731
    x = 2000 * torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(7))
    expected, found, program = half_and_torch(build(random_tensors(build)), x, tmp_path)
    assert relative(expected, found) <= 2e-3
    types = {op.operator: op.outputs[0].dtype for op in program.operations if op.operator != "cast"}
    assert types["reduce_mean"] == types["sqrt"] == "fp32"
    assert program.outputs[0].dtype == "fp16"


def test_ids_are_not_rounded_to_halves(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    """CLIP's end token is 49407, of which halves know 49408 only; it stands before padding of the same id, or 0."""
    checkpoint = open_checkpoint(make_checkpoint(text={"vocab_size": 49408, "num_hidden_layers": 1}))
    spec = BY_ROLE["text_encoder"]
    module = spec.build(checkpoint).eval()
    ids = torch.zeros(2, 77, dtype=torch.int64)
    ids[0, :5] = torch.tensor([49406, 49403, 49401, 49405, 49407])
    ids[1, :] = 49407
    ids[1, :4] = torch.tensor([49406, 49405, 49400, 49404])
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
