"""Modules and inputs that halves compute wrongly unless parts of them stay float32."""

import torch
from torch import nn

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.modules.layers import GlobalResponseNorm, RMSNorm
from tests.support.odd_checkpoints import MakeCheckpoint, OnAGrid, random_tensors


@torch.no_grad()
def overflowing_response_norm(make_checkpoint: MakeCheckpoint) -> tuple[nn.Module, torch.Tensor]:
    """A ConvNeXt block, and an input whose squares overflow halves before the response norm."""
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
    return module, x


def overflowing_rms_norm() -> tuple[nn.Module, torch.Tensor]:
    """An RMS norm, and an input whose squares overflow halves."""
    build = lambda tensors: RMSNorm(tensors, 16, 1e-6, True)  # noqa: E731
    return build(random_tensors(build)), 2000 * torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(7))


LARGE_VOCABULARY = {"vocab_size": 49408, "num_hidden_layers": 1}


def ids_beyond_halves() -> torch.Tensor:
    """CLIP's end token is 49407, of which halves know 49408 only; it stands before padding of the same id, or 0."""
    ids = torch.zeros(2, 77, dtype=torch.int64)
    ids[0, :5] = torch.tensor([49406, 49403, 49401, 49405, 49407])
    ids[1, :] = 49407
    ids[1, :4] = torch.tensor([49406, 49405, 49400, 49404])
    return ids
