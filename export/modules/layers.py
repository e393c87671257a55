"""Building blocks shared by the networks. Sequences are (B, N, C); weights of matmuls are stored (in, out), as engines
read them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.modules.tensors import Tensors

HARD_EPS = 1e-6
"""The epsilon that the reference hard-codes for conv-stage attention norms, GRN and the VQ-GAN, whatever the config
says.
"""


def parameter(tensor: torch.Tensor) -> nn.Parameter:
    """Wrap a tensor as a constant of the graph."""
    return nn.Parameter(tensor.contiguous(), requires_grad=False)


class DerivedTensors:
    """Mixin of modules that fold checkpoint tensors: own parameter name -> the names it was folded from."""

    derived: dict[str, tuple[str, ...]]


def derived_tensors(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return full parameter name -> full checkpoint names, for every folded parameter below `module`."""
    found = {}
    for prefix, part in module.named_modules():
        if isinstance(part, DerivedTensors):
            dot = f"{prefix}." if prefix else ""
            for name, sources in part.derived.items():
                found[dot + name] = tuple(dot + source for source in sources)
    return found


class Linear(nn.Module):
    """`x @ weight + bias`. The checkpoint stores (out, in), or (out, in, 1, 1) for a 1x1 convolution; `part` chooses
    some of its outputs.
    """

    def __init__(
        self,
        tensors: Tensors,
        inputs: int,
        outputs: int,
        bias: bool,
        *,
        pointwise_conv: bool = False,
        part: slice = slice(None),
    ) -> None:
        super().__init__()
        trailing = (1, 1) if pointwise_conv else ()
        weight = tensors.take("weight", outputs, inputs, *trailing)
        self.weight = parameter(weight.reshape(outputs, inputs)[part].T)
        self.bias = parameter(tensors.take("bias", outputs)[part]) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class RMSNorm(nn.Module):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis; the variance is never computed in half precision."""

    def __init__(self, tensors: Tensors, channels: int, eps: float, affine: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = parameter(tensors.take("weight", channels)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = normalize_rms(x, self.eps)
        return y if self.weight is None else y * self.weight


def normalize_rms(x: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS normalisation without a weight (Zhang & Sennrich 2019)."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return (wide / torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


class GlobalResponseNorm(nn.Module):
    """ConvNeXt V2's GRN over (B, N, C): `gamma * (x * n) + beta + x` with n the channel's share of the grid's L2
    norms.
    """

    def __init__(self, tensors: Tensors, channels: int) -> None:
        super().__init__()
        self.gamma = parameter(tensors.take("gamma", 1, 1, 1, channels).reshape(channels))
        self.beta = parameter(tensors.take("beta", 1, 1, 1, channels).reshape(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # squares overflow fp16
        norm = torch.sqrt(wide.pow(2).sum(1, keepdim=True))
        share = (norm / (norm.mean(-1, keepdim=True) + HARD_EPS)).to(x.dtype)
        return x * (self.gamma * share + 1) + self.beta


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, N, H*d) -> (B, H, N, d)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(1, 2)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """(B, H, N, d) -> (B, N, H*d)."""
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Softmax attention: query (B, H, N, d), key and value (B, H, M, d), the scale folded into one of the first two ->
    (B, N, H*d).
    """
    return merge_heads(F.softmax(query @ key.transpose(2, 3), dim=-1) @ value)


class SelfAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, tensors: Tensors, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.to_q = Linear(tensors.child("to_q"), width, width, bias)
        self.to_k = Linear(tensors.child("to_k"), width, width, bias)
        self.to_v = Linear(tensors.child("to_v"), width, width, bias)
        self.to_out = nn.ModuleList([Linear(tensors.child("to_out.0"), width, width, bias)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (split_heads(part(x), self.heads) for part in (self.to_q, self.to_k, self.to_v))
        return self.to_out[0](attend(query * self.scale, key, value))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Attention to keys and values (B, H, M, d) that were computed beforehand, the scale folded into the keys."""

    def __init__(self, tensors: Tensors, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = Linear(tensors.child("to_q"), width, width, bias)
        self.to_out = nn.ModuleList([Linear(tensors.child("to_out.0"), width, width, bias)])

    def forward(self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return self.to_out[0](attend(split_heads(self.to_q(x), self.heads), key, value))  # type: ignore[no-any-return]


class KeyValue(nn.Module):
    """The other half of `CrossAttention`: text (B, M, E) -> key, with the scale folded in, and value: (B, H, M, d)."""

    def __init__(self, tensors: Tensors, inputs: int, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.to_k = Linear(tensors.child("to_k"), inputs, width, bias)
        self.to_v = Linear(tensors.child("to_v"), inputs, width, bias)

    def forward(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return split_heads(self.to_k(text) * self.scale, self.heads), split_heads(self.to_v(text), self.heads)
