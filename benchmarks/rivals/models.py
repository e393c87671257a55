"""The rivals: their networks' configurations, and how many steps their users take.

Configurations are those of the published `config.json` files, where they differ from diffusers' defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Config = Mapping[str, Any]

_BLOCKS_OF_TINY = 3
UNETS: Mapping[str, Config] = {
    # runwayml/stable-diffusion-v1-5
    "sd-1.5": {"cross_attention_dim": 768},
    # SimianLuo/LCM_Dreamshaper_v7: the guidance scale is an input, so that one row a picture is enough
    "lcm": {"cross_attention_dim": 768, "time_cond_proj_dim": 256},
    # stabilityai/sd-turbo: the network of Stable Diffusion 2.1
    "sd-turbo": {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    # nota-ai/bk-sdm-tiny
    "bk-sdm-tiny": {
        "cross_attention_dim": 768,
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",) * _BLOCKS_OF_TINY,
        "mid_block_type": None,
        "up_block_types": ("CrossAttnUpBlock2D",) * _BLOCKS_OF_TINY,
    },
}
"""Name -> what `UNet2DConditionModel` is made with."""

_BLOCKS_OF_VAE = 4
VAE: Config = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * _BLOCKS_OF_VAE,
    "up_block_types": ("UpDecoderBlock2D",) * _BLOCKS_OF_VAE,
}
"""What `AutoencoderKL` is made with: Stable Diffusion's."""

TAESD: Config = {}
"""What `AutoencoderTiny` is made with: madebyollin/taesd is its default."""

FULL, TINY = "vae", "taesd"
DECODERS = (FULL, TINY)

LATENT_CHANNELS, LATENT_SCALE, TEXT_LENGTH = 4, 8, 77
"""Of latents; pixels to a latent, in each direction; tokens of a prompt."""


@dataclass(frozen=True)
class Rival:
    """A network, and how it is used.

    Attributes
    ----------
    network
        One of `UNETS`.
    steps
        Calls of the network for a picture.
    guided
        Whether a picture takes two rows in each call, with and without the prompt.
    scheduler
        Of diffusers, by its class, and what it is made with.
    """

    label: str
    network: str
    steps: int
    guided: bool
    scheduler: str
    scheduler_config: Config

    @property
    def branches(self) -> int:
        """Rows of the network for a picture."""
        return 2 if self.guided else 1


_BETAS: Config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_DPM = ("DPMSolverMultistepScheduler", {**_BETAS, "steps_offset": 1})
_TRAILING: Config = {**_BETAS, "timestep_spacing": "trailing"}

RIVALS = (
    Rival("Stable Diffusion 1.5, 20 steps", "sd-1.5", 20, True, *_DPM),
    Rival("LCM, 4 steps", "lcm", 4, False, "LCMScheduler", {**_BETAS, "set_alpha_to_one": True}),
    Rival("SD-Turbo, 1 step", "sd-turbo", 1, False, "EulerDiscreteScheduler", _TRAILING),
    Rival("BK-SDM-tiny, 20 steps", "bk-sdm-tiny", 20, True, *_DPM),
    Rival("BK-SDM-tiny, 1 step", "bk-sdm-tiny", 1, False, "EulerDiscreteScheduler", _TRAILING),
)
