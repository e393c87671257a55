"""What a checkpoint must hold: name and shape of every tensor, asked of the modules that read it."""

from amused_edge.export.modules.conditioner import Conditioner
from amused_edge.export.modules.configs import TextConfig, UVitConfig, VQGanConfig
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.tensors import declared_shapes
from amused_edge.export.modules.text_encoder import TextEncoder
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder


def uvit_shapes(config: UVitConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a U-ViT."""
    return declared_shapes(lambda t: (Conditioner(config, t), Denoiser(config, t)))


def vqgan_shapes(config: VQGanConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a VQ-GAN."""
    return declared_shapes(lambda t: (ImageEncoder(config, t), ImageDecoder(config, t)))


def text_shapes(config: TextConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a CLIP text encoder with projection."""
    return declared_shapes(lambda t: TextEncoder(config, t))
