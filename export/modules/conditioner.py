"""The half of the U-ViT that depends on the prompt alone: run once per prompt, read by the denoiser at every step.

It knows nothing of tokens. Outputs stand in `OUTPUTS`' order, with R = 2 * num_res_blocks conv-stage blocks (down, then
up) and L layers.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.modules.configs import UVitConfig
from amused_edge.export.modules.layers import KeyValue, Linear, RMSNorm, parameter
from amused_edge.export.modules.tensors import Tensors

OUTPUTS = (
    "block_modulation",  # (B, 2R, C): 1 + scale, shift of each block
    "block_keys",  # (B, 2R, H, M, d): attn1, attn2 of each block
    "block_values",  # (B, 2R, H, M, d)
    "layer_modulation",  # (B, 6L, D): scale and shift of norm1, norm2, norm3 of each layer, norm weights folded in
    "layer_keys",  # (B, L, H, M, d)
    "layer_values",  # (B, L, H, M, d)
)

MICRO_CONDITIONS = 5
_MAX_PERIOD = 10000.0


class Conditioner(nn.Module):
    """hidden_states (B, M, E), pooled (B, P), micro_conditions (B, 5) float32 -> `OUTPUTS`."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        c, width, bias = config, config.hidden_size, config.use_bias
        self.encoder_proj = Linear(tensors.child("encoder_proj"), c.encoder_hidden_size, width, bias)
        self.encoder_proj_layer_norm = RMSNorm(
            tensors.child("encoder_proj_layer_norm"), width, c.layer_norm_eps, c.ln_elementwise_affine
        )
        self.cond_embed = ConditionEmbedding(c, tensors.child("cond_embed"))
        self.down_block = BlockConditioner(c, tensors.child("down_block"))
        self.up_block = BlockConditioner(c, tensors.child("up_block"))
        self.transformer_layers = nn.ModuleList(
            LayerConditioner(c, tensors.child(f"transformer_layers.{i}")) for i in range(c.num_hidden_layers)
        )

    def forward(
        self, hidden_states: torch.Tensor, pooled: torch.Tensor, micro_conditions: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        text = self.encoder_proj_layer_norm(self.encoder_proj(hidden_states))
        condition = F.silu(self.cond_embed(pooled, micro_conditions))
        blocks = _Collected()
        for block in (self.down_block, self.up_block):
            block(text, condition, blocks)
        layers = _Collected()
        for layer in self.transformer_layers:
            layer(text, condition, layers)
        return (*blocks.stacked(), *layers.stacked())


class _Collected:
    """Gathers what blocks or layers produce, in the order in which the denoiser reads it."""

    def __init__(self) -> None:
        self.modulation: list[torch.Tensor] = []
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def add_attention(self, key_value: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.keys.append(key_value[0])
        self.values.append(key_value[1])

    def stacked(self) -> tuple[torch.Tensor, ...]:
        return tuple(torch.stack(part, 1) for part in (self.modulation, self.keys, self.values))


class ConditionEmbedding(nn.Module):
    """Pooled text and the sinusoids of the micro-conditions through a two-layer MLP: (B, P), (B, 5) -> (B, D)."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        self.encode_dim = config.micro_cond_encode_dim
        half = self.encode_dim // 2
        exponents = -math.log(_MAX_PERIOD) * torch.arange(half, dtype=torch.float32) / half
        self.frequencies = nn.Buffer(torch.exp(exponents))
        inputs, width = config.cond_embed_dim + config.micro_cond_embed_dim, config.hidden_size
        self.linear_1 = Linear(tensors.child("linear_1"), inputs, width, config.use_bias)
        self.linear_2 = Linear(tensors.child("linear_2"), width, width, config.use_bias)

    def forward(self, pooled: torch.Tensor, micro_conditions: torch.Tensor) -> torch.Tensor:
        angles = (
            micro_conditions.float()[:, :, None] * self.frequencies
        )  # float32 as in the reference, whatever the weights
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
        if self.encode_dim % 2:
            waves = F.pad(waves, (0, 1))
        waves = waves.reshape(-1, MICRO_CONDITIONS * self.encode_dim).to(pooled.dtype)
        hidden = F.silu(self.linear_1(torch.cat([pooled, waves], dim=1)))
        return self.linear_2(hidden)  # type: ignore[no-any-return]


class BlockConditioner(nn.Module):
    """One conv stage: modulation of its ConvNeXt blocks, keys and values of its attention blocks."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        indices = range(config.num_res_blocks)
        self.res_blocks = nn.ModuleList(ResBlockConditioner(config, tensors.child(f"res_blocks.{i}")) for i in indices)
        self.attention_blocks = nn.ModuleList(
            AttentionBlockConditioner(config, tensors.child(f"attention_blocks.{i}")) for i in indices
        )

    def forward(self, text: torch.Tensor, condition: torch.Tensor, out: _Collected) -> None:
        for res_block, attention_block in zip(self.res_blocks, self.attention_blocks, strict=True):
            out.modulation += res_block(condition)
            attention_block(text, out)


class ResBlockConditioner(nn.Module):
    """Modulation of a ConvNeXt block: 1 + scale and shift, each (B, C)."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        self.cond_embeds_mapper = Linear(
            tensors.child("cond_embeds_mapper"),
            config.hidden_size,
            2 * config.block_out_channels,
            config.use_bias,
        )

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        scale, shift = self.cond_embeds_mapper(condition).chunk(2, dim=1)
        return [1 + scale, shift]


class AttentionBlockConditioner(nn.Module):
    """Keys and values of a conv-stage attention block; `kv_mapper` (and its SiLU) exists only where widths differ."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        width, bias = config.block_out_channels, config.use_bias
        self.kv_mapper = (
            Linear(tensors.child("kv_mapper"), config.hidden_size, width, bias) if config.hidden_size != width else None
        )
        self.attn1 = KeyValue(tensors.child("attn1"), width, width, config.block_num_heads, bias)
        self.attn2 = KeyValue(tensors.child("attn2"), width, width, config.block_num_heads, bias)

    def forward(self, text: torch.Tensor, out: _Collected) -> None:
        if self.kv_mapper is not None:
            text = self.kv_mapper(F.silu(text))
        out.add_attention(self.attn1(text))
        out.add_attention(self.attn2(text))


class LayerConditioner(nn.Module):
    """One transformer layer: modulation of its three norms, keys and values of its cross-attention."""

    def __init__(self, config: UVitConfig, tensors: Tensors) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.use_bias
        affine = config.ln_elementwise_affine
        self.norm1 = AdaptiveNormConditioner(tensors.child("norm1"), width, bias, affine, False)
        self.norm2 = AdaptiveNormConditioner(tensors.child("norm2"), width, bias, affine, False)
        self.norm3 = AdaptiveNormConditioner(tensors.child("norm3"), width, bias, affine, affine and bias)
        self.attn2 = KeyValue(tensors.child("attn2"), width, width, config.num_attention_heads, bias)

    def forward(self, text: torch.Tensor, condition: torch.Tensor, out: _Collected) -> None:
        for norm in (self.norm1, self.norm2, self.norm3):
            out.modulation += norm(condition)
        out.add_attention(self.attn2(text))


class AdaptiveNormConditioner(nn.Module):
    """adaLN's scale and shift, with the inner norm's own weight w and bias b folded in.

    `(w x + b)(1 + scale) + shift = x * w (1 + scale) + (b (1 + scale) + shift)`.
    """

    def __init__(self, tensors: Tensors, width: int, bias: bool, norm_weight: bool, norm_bias: bool) -> None:
        super().__init__()
        self.linear = Linear(tensors.child("linear"), width, 2 * width, bias)
        self.norm = NormParameters(tensors.child("norm"), width, norm_weight, norm_bias)

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        scale, shift = self.linear(condition).chunk(2, dim=1)
        scale = 1 + scale
        if self.norm.bias is not None:
            shift = self.norm.bias * scale + shift
        if self.norm.weight is not None:
            scale = self.norm.weight * scale
        return [scale, shift]


class NormParameters(nn.Module):
    """The weight and bias of a norm that is computed elsewhere."""

    def __init__(self, tensors: Tensors, width: int, weight: bool, bias: bool) -> None:
        super().__init__()
        self.weight = parameter(tensors.take("weight", width)) if weight else None
        self.bias = parameter(tensors.take("bias", width)) if bias else None
