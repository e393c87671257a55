"""The half of the U-ViT that runs at every step: tokens and the conditioner's outputs in, logits out.

It knows nothing of text. Sequences are (B, N, C) throughout; only the depthwise convolutions see (B, C, h, w).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.errors import ExportError
from amused_edge.export.modules.configs import UVitConfig
from amused_edge.export.modules.layers import (
    HARD_EPS,
    CrossAttention,
    DerivedTensors,
    GlobalResponseNorm,
    Linear,
    RMSNorm,
    SelfAttention,
    normalize_rms,
    parameter,
)
from amused_edge.export.modules.tensors import Tensors

_MISFIT = "conditioner and denoiser must be made from the same checkpoint"


class Pieces:
    """Slices of a conditioner output along its second axis, which blocks or layers take in turn until none is left.

    Parameters
    ----------
    name
        Of the output.
    """

    def __init__(self, name: str, slices: Sequence[torch.Tensor]) -> None:
        self._name, self._slices, self._taken = name, slices, 0

    @staticmethod
    def rows(name: str, stacked: torch.Tensor) -> "Pieces":
        """(B, K, C) -> K pieces (B, 1, C), which broadcast over a sequence."""
        return Pieces(name, torch.split(stacked, 1, dim=1))

    @staticmethod
    def unbound(name: str, stacked: torch.Tensor) -> "Pieces":
        """(B, K, ...) -> K pieces (B, ...)."""
        return Pieces(name, stacked.unbind(1))

    def take(self) -> torch.Tensor:
        """Return the next piece; raises `ExportError` if there is none."""
        if self._taken == len(self._slices):
            raise ExportError(f"{self._name} has {self._taken} pieces, and the denoiser takes more; {_MISFIT}")
        self._taken += 1
        return self._slices[self._taken - 1]

    def check_ended(self) -> None:
        """Raise `ExportError` if a piece was not taken."""
        if self._taken != len(self._slices):
            raise ExportError(
                f"{self._name} has {len(self._slices)} pieces, and the denoiser takes {self._taken}; {_MISFIT}"
            )


class Denoiser(nn.Module):
    """tokens (B, h, w) and the conditioner's outputs -> logits (B, h*w, codebook)."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        c, width, channels, bias = config, config.hidden_size, config.block_out_channels, config.use_bias
        eps, affine = c.layer_norm_eps, c.ln_elementwise_affine
        self.embed = TokenTable(c, tensors.child("embed"))
        self.scale = c.grid_multiple
        self.down_block = Stage(c, tensors.child("down_block"), downsample=c.downsample)
        self.project_to_hidden_norm = RMSNorm(tensors.child("project_to_hidden_norm"), channels, eps, affine)
        self.project_to_hidden = Linear(tensors.child("project_to_hidden"), channels, width, bias)
        self.transformer_layers = nn.ModuleList(
            TransformerLayer(c, tensors.child(f"transformer_layers.{i}")) for i in range(c.num_hidden_layers)
        )
        self.project_from_hidden_norm = RMSNorm(tensors.child("project_from_hidden_norm"), width, eps, affine)
        self.project_from_hidden = Linear(tensors.child("project_from_hidden"), width, channels, bias)
        self.up_block = Stage(c, tensors.child("up_block"), upsample=c.upsample)
        self.mlm_layer = LogitsHead(c, tensors.child("mlm_layer"))

    def forward(
        self,
        tokens: torch.Tensor,
        block_modulation: torch.Tensor,
        block_keys: torch.Tensor,
        block_values: torch.Tensor,
        layer_modulation: torch.Tensor,
        layer_keys: torch.Tensor,
        layer_values: torch.Tensor,
    ) -> torch.Tensor:
        height, width = (side // self.scale for side in tokens.shape[1:])
        x = self.embed(tokens.flatten(1))
        modulation = Pieces.rows("block_modulation", block_modulation)
        keys, values = Pieces.unbound("block_keys", block_keys), Pieces.unbound("block_values", block_values)
        x = self.down_block(x, height, width, modulation, keys, values)
        x = self.project_to_hidden(self.project_to_hidden_norm(x))
        x = self._layers(
            x,
            Pieces.rows("layer_modulation", layer_modulation),
            Pieces.unbound("layer_keys", layer_keys),
            Pieces.unbound("layer_values", layer_values),
        )
        x = self.project_from_hidden(self.project_from_hidden_norm(x))
        x = self.up_block(x, height, width, modulation, keys, values)
        check_ended(modulation, keys, values)
        return self.mlm_layer(x)  # type: ignore[no-any-return]

    def _layers(self, x: torch.Tensor, modulation: Pieces, keys: Pieces, values: Pieces) -> torch.Tensor:
        for layer in self.transformer_layers:
            x = layer(x, modulation, keys.take(), values.take())
        check_ended(modulation, keys, values)
        return x


def check_ended(*all_pieces: Pieces) -> None:
    """Raise `ExportError` if any of them has a piece that was not taken."""
    for pieces in all_pieces:
        pieces.check_ended()


class TokenTable(nn.Module, DerivedTensors):
    """Embedding, RMSNorm and 1x1 convolution of a token, folded into one table (vocabulary, C)."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        c = config
        embeddings = tensors.child("embeddings").take("weight", c.vocab_size, c.in_channels)
        norm = RMSNorm(tensors.child("layer_norm"), c.in_channels, c.layer_norm_eps, c.ln_elementwise_affine)
        conv = Linear(tensors.child("conv"), c.in_channels, c.block_out_channels, c.use_bias, pointwise_conv=True)
        self.table = parameter(conv(norm(embeddings)))
        sources = ["embeddings.weight", "conv.weight"]
        sources += ["layer_norm.weight"] if c.ln_elementwise_affine else []
        sources += ["conv.bias"] if c.use_bias else []
        self.derived = {"table": tuple(sources)}

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.embedding(tokens, self.table)


class Stage(nn.Module):
    """A conv stage on a `height` x `width` grid: [downsample], ConvNeXt and attention blocks in turn, [upsample]."""

    def __init__(
        self, config: UVitConfig, tensors: Tensors, *, downsample: bool = False, upsample: bool = False
    ) -> None:
        super().__init__()
        indices = range(config.num_res_blocks)
        self.downsample = PatchMerge(config, tensors.child("downsample")) if downsample else None
        self.res_blocks = nn.ModuleList(ConvNeXtBlock(config, tensors.child(f"res_blocks.{i}")) for i in indices)
        self.attention_blocks = nn.ModuleList(
            AttentionBlock(config, tensors.child(f"attention_blocks.{i}")) for i in indices
        )
        self.upsample = PatchSplit(config, tensors.child("upsample")) if upsample else None

    def forward(
        self,
        x: torch.Tensor,
        height: int,
        width: int,
        modulation: Pieces,
        keys: Pieces,
        values: Pieces,
    ) -> torch.Tensor:
        if self.downsample is not None:
            x = self.downsample(x, height, width)
        for res_block, attention_block in zip(self.res_blocks, self.attention_blocks, strict=True):
            x = res_block(x, height, width) * modulation.take() + modulation.take()
            x = attention_block(x, keys, values)
        if self.upsample is not None:
            x = self.upsample(x, height, width)
        return x


class PatchMerge(nn.Module):
    """RMSNorm and a 2x2, stride-2 convolution as a matmul: no pixels overlap, so a 2x2 patch becomes one row.

    (B, 2*height * 2*width, C) -> (B, height*width, C)
    """

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        channels = config.block_out_channels
        self.norm = RMSNorm(tensors.child("norm"), channels, config.layer_norm_eps, config.ln_elementwise_affine)
        self.conv = PatchKernel(tensors.child("conv"), channels, config.use_bias, into_rows=True)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        channels = x.shape[-1]
        rows = self.norm(x).reshape(-1, 2, width, 2 * channels)  # (B*height, row in patch, width, ...)
        return self.conv(rows.transpose(1, 2).reshape(-1, height * width, 4 * channels))  # type: ignore[no-any-return]


class PatchSplit(nn.Module):
    """RMSNorm and a 2x2, stride-2 transposed convolution as a matmul: one row becomes a 2x2 patch.

    (B, height*width, C) -> (B, 2*height * 2*width, C)
    """

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        channels = config.block_out_channels
        self.norm = RMSNorm(tensors.child("norm"), channels, config.layer_norm_eps, config.ln_elementwise_affine)
        self.conv = PatchKernel(tensors.child("conv"), channels, config.use_bias, into_rows=False)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        channels = x.shape[-1]
        patches = self.conv(self.norm(x)).reshape(-1, width, 2, 2 * channels)
        return patches.transpose(1, 2).reshape(-1, 4 * height * width, channels)  # type: ignore[no-any-return]


class PatchKernel(nn.Module):
    """A 2x2 kernel as a matrix over patches whose entries run (row, column, channel).

    `into_rows`: a convolution's (out, in, 2, 2) -> (4*in, out); else a transposed convolution's (in, out, 2, 2) ->
    (in, 4*out).
    """

    def __init__(self, tensors: Tensors, channels: int, bias: bool, *, into_rows: bool) -> None:
        super().__init__()
        kernel = tensors.take("weight", channels, channels, 2, 2)
        if into_rows:
            matrix = kernel.permute(2, 3, 1, 0).reshape(4 * channels, channels)
        else:
            matrix = kernel.permute(0, 2, 3, 1).reshape(channels, 4 * channels)
        self.weight = parameter(matrix)
        self.repeats = 1 if into_rows else 4
        self.bias = parameter(tensors.take("bias", channels)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias.repeat(self.repeats)


class ConvNeXtBlock(nn.Module):
    """Depthwise 3x3, RMSNorm, MLP with GRN, residual; the modulation comes after and outside."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        channels, bias = config.block_out_channels, config.use_bias
        wide = 4 * channels
        self.depthwise = Depthwise(tensors.child("depthwise"), channels, bias)
        self.norm = RMSNorm(tensors.child("norm"), channels, config.layer_norm_eps, config.ln_elementwise_affine)
        self.channelwise_linear_1 = Linear(tensors.child("channelwise_linear_1"), channels, wide, bias)
        self.channelwise_norm = GlobalResponseNorm(tensors.child("channelwise_norm"), wide)
        self.channelwise_linear_2 = Linear(tensors.child("channelwise_linear_2"), wide, channels, bias)

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        y = self.norm(self.depthwise(x, height, width))
        y = self.channelwise_norm(F.gelu(self.channelwise_linear_1(y)))
        return x + self.channelwise_linear_2(y)  # type: ignore[no-any-return]


class Depthwise(nn.Module):
    """3x3 depthwise convolution with zero padding, the only source of position: (B, N, C) -> (B, N, C)."""

    def __init__(self, tensors: Tensors, channels: int, bias: bool) -> None:
        super().__init__()
        self.channels = channels
        self.weight = parameter(tensors.take("weight", channels, 1, 3, 3))
        self.bias = parameter(tensors.take("bias", channels)) if bias else None

    def forward(self, x: torch.Tensor, height: int, width: int) -> torch.Tensor:
        grid = x.transpose(1, 2).reshape(-1, self.channels, height, width)
        y = F.conv2d(grid, self.weight, self.bias, padding=1, groups=self.channels)
        return y.flatten(2).transpose(1, 2)


class AttentionBlock(nn.Module):
    """Two cross-attentions to the text, each after an RMSNorm and with a residual; no feed-forward."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        channels, heads, bias = config.block_out_channels, config.block_num_heads, config.use_bias
        self.norm1 = RMSNorm(tensors.child("norm1"), channels, HARD_EPS, affine=True)
        self.attn1 = CrossAttention(tensors.child("attn1"), channels, heads, bias)
        self.norm2 = RMSNorm(tensors.child("norm2"), channels, HARD_EPS, affine=True)
        self.attn2 = CrossAttention(tensors.child("attn2"), channels, heads, bias)

    def forward(self, x: torch.Tensor, keys: Pieces, values: Pieces) -> torch.Tensor:
        x = x + self.attn1(self.norm1(x), keys.take(), values.take())
        return x + self.attn2(self.norm2(x), keys.take(), values.take())  # type: ignore[no-any-return]


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention to the text, GEGLU feed-forward, each after an adaptive norm.

    The modulation carries the norms' own weights: RMSNorm before both attentions, LayerNorm before the feed-forward.
    """

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        width, heads, bias = config.hidden_size, config.num_attention_heads, config.use_bias
        self.eps = config.layer_norm_eps
        # The norms' weights are in the modulation; engines only fuse an RMS norm that has a constant one.
        self.unit = nn.Buffer(torch.ones(width))
        self.attn1 = SelfAttention(tensors.child("attn1"), width, heads, bias)
        self.attn2 = CrossAttention(tensors.child("attn2"), width, heads, bias)
        self.ff = FeedForward(tensors.child("ff"), width, config.intermediate_size, bias)

    def forward(self, x: torch.Tensor, modulation: Pieces, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        unit = self.unit.to(x.dtype)
        y = normalize_rms(x, self.eps) * unit * modulation.take() + modulation.take()
        x = x + self.attn1(y)
        y = normalize_rms(x, self.eps) * unit * modulation.take() + modulation.take()
        x = x + self.attn2(y, key, value)
        y = F.layer_norm(x, x.shape[-1:], eps=self.eps) * modulation.take() + modulation.take()
        return x + self.ff(y)  # type: ignore[no-any-return]


class FeedForward(nn.Module, DerivedTensors):
    """GEGLU with erf GELU. The checkpoint's first projection gives values, then gates; here each has a matmul."""

    def __init__(self, tensors: Tensors, width: int, inner: int, bias: bool) -> None:
        super().__init__()
        parts = {"value": slice(inner), "gate": slice(inner, None)}
        projections = {
            name: Linear(tensors.child("net.0.proj"), width, 2 * inner, bias, part=part) for name, part in parts.items()
        }
        self.net = nn.ModuleDict(
            {"0": nn.ModuleDict(projections), "2": Linear(tensors.child("net.2"), inner, width, bias)}
        )
        kinds = ("weight", "bias") if bias else ("weight",)
        self.derived = {f"net.0.{part}.{kind}": (f"net.0.proj.{kind}",) for part in parts for kind in kinds}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.net["0"]
        return self.net["2"](first["value"](x) * F.gelu(first["gate"](x)))  # type: ignore[no-any-return, index]


class LogitsHead(nn.Module):
    """1x1 convolution, RMSNorm, 1x1 convolution to the codes: (B, N, C) -> (B, N, codebook)."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        c = config
        self.conv1 = Linear(
            tensors.child("conv1"), c.block_out_channels, c.in_channels, c.use_bias, pointwise_conv=True
        )
        self.layer_norm = RMSNorm(tensors.child("layer_norm"), c.in_channels, c.layer_norm_eps, c.ln_elementwise_affine)
        self.conv2 = Linear(tensors.child("conv2"), c.in_channels, c.codebook_size, c.use_bias, pointwise_conv=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.layer_norm(self.conv1(x)))  # type: ignore[no-any-return]
