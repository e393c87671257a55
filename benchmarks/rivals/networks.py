"""The rivals' networks in PyTorch, with random weights that are drawn when a network is made."""

from typing import Any

import diffusers
import torch
from torch import nn

from amused_edge.benchmarks.rivals.models import FULL, LATENT_CHANNELS, TAESD, TEXT_LENGTH, UNETS, VAE, Config

SEED = 0


class Denoiser(nn.Module):
    """A U-Net, with the predicted noise as its only output.

    Parameters
    ----------
    config
        What it is made with, see `UNETS`.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.unet = diffusers.UNet2DConditionModel(**config)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        timestep_cond: torch.Tensor | None = None,
    ) -> Any:
        """Return noise like `sample` (B, 4, h, w); `timestep` is (1,), the text (B, 77, E), the guidance (B, 256)."""
        return self.unet(sample, timestep, encoder_hidden_states, timestep_cond=timestep_cond, return_dict=False)[0]


class Decoder(nn.Module):
    """An autoencoder's decoder, from latents (B, 4, h, w) to pixels in [0, 1] (B, 3, 8 h, 8 w).

    Parameters
    ----------
    name
        "vae" or "taesd".
    config
        What it is made with; None for the published one.
    """

    def __init__(self, name: str, config: Config | None = None) -> None:
        super().__init__()
        if name == FULL:
            self.autoencoder = diffusers.AutoencoderKL(**(VAE if config is None else config))
            del self.autoencoder.quant_conv
        else:
            self.autoencoder = diffusers.AutoencoderTiny(**(TAESD if config is None else config))
        del self.autoencoder.encoder  # which no picture needs

    def forward(self, latents: torch.Tensor) -> Any:
        """Return pixels."""
        scaled = latents / self.autoencoder.config.scaling_factor
        pixels = self.autoencoder.decode(scaled, return_dict=False)[0]
        return (pixels / 2 + 0.5).clamp(0, 1)


def make_denoiser(network: str, config: Config | None = None) -> Denoiser:
    """Make one of `UNETS`, or another configuration."""
    torch.manual_seed(SEED)
    return Denoiser(UNETS[network] if config is None else config).eval()


def make_decoder(name: str, config: Config | None = None) -> Decoder:
    """Make one of `DECODERS`."""
    torch.manual_seed(SEED)
    return Decoder(name, config).eval()


def denoiser_inputs(config: Config, rows: int, height: int, width: int) -> dict[str, torch.Tensor]:
    """Return inputs of a `Denoiser` for latents of `height` x `width`: random, of a standard normal distribution."""
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(rows, *shape, generator=generator)

    inputs = {
        "sample": normal(LATENT_CHANNELS, height, width),
        "timestep": torch.tensor([999.0]),
        "encoder_hidden_states": normal(TEXT_LENGTH, config["cross_attention_dim"]),
    }
    if config.get("time_cond_proj_dim") is not None:
        inputs["timestep_cond"] = normal(config["time_cond_proj_dim"])
    return inputs


def decoder_input(rows: int, height: int, width: int) -> torch.Tensor:
    """Return latents of `height` x `width`."""
    return torch.randn(rows, LATENT_CHANNELS, height, width, generator=torch.Generator().manual_seed(SEED))
