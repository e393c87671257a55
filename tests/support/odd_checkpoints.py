"""Checkpoints with what others have not, single modules with what is hard for halves, and how either is compared with
torch: shared by the targets that write packages of batch 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.graphs import GRAPHS, Inputs
from amused_edge.export.modules.denoiser import ConvNeXtBlock
from amused_edge.export.modules.tensors import Tensors, declared_shapes
from amused_edge.runtime.bundle.manifest import Geometry
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


@torch.no_grad()
def check(role: str, module: nn.Module, inputs: Inputs, row: int, found: Arrays) -> None:
    """Floats within the tolerance; pixels the nearest whole numbers, and codes the nearest ones, within it."""
    one = {name: value[row : row + 1] for name, value in inputs.items()}
    if role == "image_decoder":
        exact = module.pixels(one["tokens"]).numpy() * 255  # type: ignore[operator]
        planes = found["image"]  # (1, 3, H, W)
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
