"""The VQ-GAN: pixels to tokens and tokens to pixels, with scaling, rounding and layout inside."""

import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.modules.configs import VQGanConfig
from amused_edge.export.modules.layers import HARD_EPS, DerivedTensors, Linear, parameter
from amused_edge.export.modules.tensors import Tensors


class ImageDecoder(nn.Module, DerivedTensors):
    """tokens (B, h, w) int -> image (B, H, W, 3) uint8: clipped to [0, 1], times 255, rounded half to even.

    Codebook and `post_quant_conv` are folded into one table (codes, latent).
    """

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        codebook = tensors.child("quantize.embedding").take("weight", config.num_vq_embeddings, config.embed_dim)
        post_quant_conv = Linear(
            tensors.child("post_quant_conv"),
            config.embed_dim,
            config.latent_channels,
            bias=True,
            pointwise_conv=True,
        )
        self.code_table = parameter(post_quant_conv(codebook))
        self.derived = {
            "code_table": (
                "quantize.embedding.weight",
                "post_quant_conv.weight",
                "post_quant_conv.bias",
            )
        }
        self.decoder = Decoder(config, tensors.child("decoder"))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.planes(tokens).to(torch.uint8).permute(0, 2, 3, 1)

    def planes(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, h, w) -> (B, 3, H, W) float, whole numbers from 0 to 255."""
        return torch.round(self.pixels(tokens) * 255)

    def pixels(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, h, w) -> (B, 3, H, W) in [0, 1]."""
        return self.floats(tokens).clamp(0, 1)

    def floats(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, h, w) -> (B, 3, H, W), not clipped: what pixels hide where it is not finite."""
        latents = F.embedding(tokens, self.code_table).permute(0, 3, 1, 2)
        return self.decoder(latents)  # type: ignore[no-any-return]


class ImageEncoder(nn.Module):
    """image (B, H, W, 3) uint8 -> tokens (B, h, w) int64, the nearest codes."""

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        self.encoder = Encoder(config, tensors.child("encoder"))
        self.quant_conv = Linear(
            tensors.child("quant_conv"),
            config.latent_channels,
            config.embed_dim,
            bias=True,
            pointwise_conv=True,
        )
        self.quantize = CodeSearch(config, tensors.child("quantize"))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self._nearest(self._scaled(image))

    def nearest_to_planes(self, planes: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float from 0 to 255 -> (B, h, w) int64, the nearest codes."""
        return self._nearest(planes / 255)

    def distances(self, image: torch.Tensor) -> torch.Tensor:
        """Euclidean distances to all codes, (B, h, w, codes): not part of the graph, for checks of near-ties."""
        codes: torch.Tensor = self.quantize.embedding.weight.T  # type: ignore[assignment]
        return torch.cdist(self._latents(self._scaled(image)).double(), codes.double())

    def floats(self, image: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) -> (B, h, w, codes): what tokens hide where it is not finite."""
        return self.quantize.scores(self._latents(self._scaled(image)))

    def _scaled(self, image: torch.Tensor) -> torch.Tensor:
        scaled = image.to(self.quant_conv.weight.dtype) / 255
        return scaled.permute(0, 3, 1, 2)

    def _nearest(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.quantize(self._latents(pixels))  # type: ignore[no-any-return]

    def _latents(self, pixels: torch.Tensor) -> torch.Tensor:
        latents = self.encoder(pixels).permute(0, 2, 3, 1)
        return self.quant_conv(latents)  # type: ignore[no-any-return]


class CodeSearch(nn.Module):
    """Nearest code by Euclidean distance, the lowest index on ties: (B, h, w, E) -> (B, h, w) int64.

    `|z|^2` is the same for all codes, so `|e|^2 - 2 z.e` has the same argmin.
    """

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        self.embedding = nn.Module()
        codebook = tensors.child("embedding").take("weight", config.num_vq_embeddings, config.embed_dim)
        self.embedding.weight = parameter(codebook.T)  # (E, codes)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.scores(latents).argmin(-1)

    def scores(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, h, w, E) -> (B, h, w, codes), the least for the nearest code."""
        codes: torch.Tensor = self.embedding.weight  # type: ignore[assignment]
        return codes.pow(2).sum(0) - 2 * (latents @ codes)


class Conv(nn.Module):
    """A convolution with a bias, `same` zero padding, stride 1: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, tensors: Tensors, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.weight = parameter(tensors.take("weight", outputs, inputs, kernel, kernel))
        self.bias = parameter(tensors.take("bias", outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class GroupNorm(nn.Module):
    """GroupNorm with weight and bias."""

    def __init__(self, tensors: Tensors, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = parameter(tensors.take("weight", channels))
        self.bias = parameter(tensors.take("bias", channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.group_norm(x, self.groups, self.weight, self.bias, HARD_EPS)


class ResnetBlock(nn.Module):
    """GroupNorm, SiLU, 3x3 twice, residual; a 1x1 convolution on the residual where widths differ."""

    def __init__(self, tensors: Tensors, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(tensors.child("norm1"), inputs, groups)
        self.conv1 = Conv(tensors.child("conv1"), inputs, outputs, 3)
        self.norm2 = GroupNorm(tensors.child("norm2"), outputs, groups)
        self.conv2 = Conv(tensors.child("conv2"), outputs, outputs, 3)
        self.conv_shortcut = Conv(tensors.child("conv_shortcut"), inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))  # type: ignore[no-any-return]


class PixelAttention(nn.Module):
    """Single-head self-attention over all pixels after a GroupNorm, with a residual."""

    def __init__(self, tensors: Tensors, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = GroupNorm(tensors.child("group_norm"), channels, groups)
        self.to_q = Linear(tensors.child("to_q"), channels, channels, bias=True)
        self.to_k = Linear(tensors.child("to_k"), channels, channels, bias=True)
        self.to_v = Linear(tensors.child("to_v"), channels, channels, bias=True)
        self.to_out = nn.ModuleList([Linear(tensors.child("to_out.0"), channels, channels, bias=True)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)
        query = self.to_q(pixels) * x.shape[1] ** -0.5
        weights = F.softmax(query @ self.to_k(pixels).transpose(1, 2), dim=-1)
        attended = self.to_out[0](weights @ self.to_v(pixels))
        return attended.transpose(1, 2).reshape(x.shape) + x  # type: ignore[no-any-return]


class MidBlock(nn.Module):
    """Two resnet blocks with, in some VQ-GANs, attention between them."""

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        channels, groups = config.block_out_channels[-1], config.norm_num_groups
        self.resnets = nn.ModuleList(
            ResnetBlock(tensors.child(f"resnets.{i}"), channels, channels, groups) for i in range(2)
        )
        attentions = [0] if config.mid_block_add_attention else []
        self.attentions = nn.ModuleList(
            PixelAttention(tensors.child(f"attentions.{i}"), channels, groups) for i in attentions
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Resnet blocks at one resolution, then a change of resolution unless it is the last stage."""

    def __init__(self, config: VQGanConfig, tensors: Tensors, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock(tensors.child(f"resnets.{i}"), inputs if i == 0 else outputs, outputs, config.norm_num_groups)
            for i in range(blocks)
        )
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = part(x)
        return x


class Downsample(nn.Module):
    """3x3 convolution, stride 2, padded on the right and bottom only."""

    def __init__(self, tensors: Tensors, channels: int) -> None:
        super().__init__()
        self.conv = Conv(tensors.child("conv"), channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (0, 1, 0, 1)), self.conv.weight, self.conv.bias, stride=2)


class Upsample(nn.Module):
    """Every pixel repeated 2x2, then a 3x3 convolution."""

    def __init__(self, tensors: Tensors, channels: int) -> None:
        super().__init__()
        self.conv = Conv(tensors.child("conv"), channels, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Pixels (B, 3, H, W) in [0, 1] -> (B, latent, h, w)."""

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        widths = config.block_out_channels
        self.conv_in = Conv(tensors.child("conv_in"), config.in_channels, widths[0], 3)
        self.down_blocks = nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            below = tensors.child(f"down_blocks.{i}")
            stage = Stage(config, below, inputs, outputs, config.layers_per_block)
            if i < len(widths) - 1:
                stage.downsamplers.append(Downsample(below.child("downsamplers.0"), outputs))
            self.down_blocks.append(stage)
        self.mid_block = MidBlock(config, tensors.child("mid_block"))
        self.conv_norm_out = GroupNorm(tensors.child("conv_norm_out"), widths[-1], config.norm_num_groups)
        self.conv_out = Conv(tensors.child("conv_out"), widths[-1], config.latent_channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for stage in self.down_blocks:
            x = stage(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """(B, latent, h, w) -> pixels (B, 3, H, W), not clipped."""

    def __init__(self, config: VQGanConfig, tensors: Tensors) -> None:
        super().__init__()
        widths = config.block_out_channels[::-1]
        self.conv_in = Conv(tensors.child("conv_in"), config.latent_channels, widths[0], 3)
        self.mid_block = MidBlock(config, tensors.child("mid_block"))
        self.up_blocks = nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            below = tensors.child(f"up_blocks.{i}")
            stage = Stage(config, below, inputs, outputs, config.layers_per_block + 1)
            if i < len(widths) - 1:
                stage.upsamplers.append(Upsample(below.child("upsamplers.0"), outputs))
            self.up_blocks.append(stage)
        self.conv_norm_out = GroupNorm(tensors.child("conv_norm_out"), widths[-1], config.norm_num_groups)
        self.conv_out = Conv(tensors.child("conv_out"), widths[-1], config.out_channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mid_block(self.conv_in(x))
        for stage in self.up_blocks:
            x = stage(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))  # type: ignore[no-any-return]
