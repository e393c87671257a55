"""What several export tests ask of the reference: diffusers' modules as oracles, and our modules over their weights."""

from typing import Any

import torch
from diffusers.models.normalization import RMSNorm
from torch import nn

from amused_edge.export.modules.configs import UVitConfig, VQGanConfig, parse_config
from amused_edge.export.modules.tensors import Tensors


def tensors_of(module: nn.Module, dtype: torch.dtype = torch.float32) -> Tensors:
    """Our modules' view of a reference module's weights."""
    state = module.state_dict()

    def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        assert tuple(state[name].shape) == shape, name
        return state[name].to(dtype)

    return Tensors(read)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def uvit_config(module: Any) -> UVitConfig:
    return parse_config(UVitConfig, dict(module.config), "transformer/config.json")


def vqgan_config(module: Any) -> VQGanConfig:
    return parse_config(VQGanConfig, dict(module.config), "vqvae/config.json")


def relative(reference: torch.Tensor, other: torch.Tensor) -> float:
    """Largest |difference| of the largest |value|; NaN where either has one, which no `<=` lets pass."""
    assert reference.shape == other.shape
    return ((reference - other).abs().max() / reference.abs().max()).item()


def rms_norm_in_input_dtype(self: RMSNorm, hidden_states: torch.Tensor) -> torch.Tensor:
    """The reference's RMSNorm with its variance in the input's dtype.

    The reference computes the variance in float32 whatever comes in, so its float64 run is only good to about 1e-7 and
    no oracle at 1e-9. Nothing else is changed; the sinusoids of the micro-conditions stay float32 on both sides.
    """
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    normed = hidden_states * torch.rsqrt(variance + self.eps)
    return normed if self.weight is None else normed * self.weight
