"""The denoiser with a row cache: it computes some rows of its transformer layers, and keeps the others as they were.

A row is a token, or the patch of 2 x 2 tokens that a U-ViT merges. With all rows it computes what `Denoiser` computes.
With some, the others have the keys, values and last hidden states of the call that last computed them, as in ReCAP
(Liu et al., arXiv 2505.19089) and Fast-dLLM (Wu et al., arXiv 2505.22618). Conv stages and head always see all rows.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from amused_edge.export.modules import conditioner
from amused_edge.export.modules.denoiser import Denoiser, Pieces, TransformerLayer, check_ended
from amused_edge.export.modules.layers import attend, normalize_rms, split_heads
from amused_edge.runtime.bundle.graph_entry import KEPT, PLACES, ROWS


class RowCacheDenoiser(nn.Module):
    """A denoiser's parts, called otherwise. Of N rows, R are computed and K = N - R kept.

    Besides what `Denoiser` takes: `rows` (1, R), those to compute, in any order; `places` (1, N), where each row of the
    grid stands among [the computed, the kept]; and `kept`, (B, K, D) for each of `kept_names`, rows in the same order.
    Returns logits (B, h*w, codebook), and `kept_names`, (B, N, D), of [the computed, the kept]. So the rows that the
    next call computes are best put first: what it keeps lies together then.

    Attributes
    ----------
    kept_names
        Keys and values of each layer, and the hidden states after the last.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.embed = denoiser.embed
        self.scale = denoiser.scale
        self.down_block = denoiser.down_block
        self.project_to_hidden_norm = denoiser.project_to_hidden_norm
        self.project_to_hidden = denoiser.project_to_hidden
        self.transformer_layers = denoiser.transformer_layers
        self.project_from_hidden_norm = denoiser.project_from_hidden_norm
        self.project_from_hidden = denoiser.project_from_hidden
        self.up_block = denoiser.up_block
        self.mlm_layer = denoiser.mlm_layer
        count = len(denoiser.transformer_layers)
        self.kept_names = (*(f"{kind}_{i}" for i in range(count) for kind in ("keys", "values")), "hidden")

    def forward(
        self,
        tokens: torch.Tensor,
        block_modulation: torch.Tensor,
        block_keys: torch.Tensor,
        block_values: torch.Tensor,
        layer_modulation: torch.Tensor,
        layer_keys: torch.Tensor,
        layer_values: torch.Tensor,
        rows: torch.Tensor,
        places: torch.Tensor,
        kept: tuple[torch.Tensor, ...],
    ) -> tuple[torch.Tensor, ...]:
        height, width = (side // self.scale for side in tokens.shape[1:])
        modulation = Pieces.rows("block_modulation", block_modulation)
        keys, values = Pieces.unbound("block_keys", block_keys), Pieces.unbound("block_values", block_values)
        x = self.down_block(self.embed(tokens.flatten(1)), height, width, modulation, keys, values)
        x = self.project_to_hidden(self.project_to_hidden_norm(x.index_select(1, rows[0])))
        pieces = (
            Pieces.rows("layer_modulation", layer_modulation),
            Pieces.unbound("layer_keys", layer_keys),
            Pieces.unbound("layer_values", layer_values),
        )
        old, new = iter(kept), []
        for layer in self.transformer_layers:
            x, *pair = _layer(layer, x, *pieces, old)  # type: ignore[arg-type]
            new += pair
        hidden = torch.cat([x, next(old)], 1)
        x = self.project_from_hidden(self.project_from_hidden_norm(hidden.index_select(1, places[0])))
        x = self.up_block(x, height, width, modulation, keys, values)
        check_ended(modulation, keys, values, *pieces)
        return self.mlm_layer(x), *new, hidden

    def example(self, inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Return a plain denoiser's inputs, of which one row is taken, with half of the grid kept, at random.

        What is kept are tensors of their own: one that is given twice is traced as one input.
        """
        generator, inputs = torch.Generator().manual_seed(0), {name: value[:1] for name, value in inputs.items()}
        count = inputs["tokens"].numel() // self.scale**2
        order = torch.randperm(count, generator=generator)
        shape = (1, count - count // 2, self.project_to_hidden.weight.shape[1])
        kept = tuple(torch.randn(shape, generator=generator) for _ in self.kept_names)
        return {**inputs, ROWS: order[None, : count // 2], PLACES: order.argsort()[None], "kept": kept}

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs of `example`, those that are kept one by one."""
        return ("tokens", *conditioner.OUTPUTS, ROWS, PLACES, *(KEPT + name for name in self.kept_names))

    @property
    def dynamic(self) -> dict[str, Any]:
        """The axes of `example` whose lengths are not fixed."""
        kept = ({1: torch.export.Dim("known")},) * len(self.kept_names)
        rows = {ROWS: {1: torch.export.Dim("computed")}, "kept": kept}
        return {**dict.fromkeys(("tokens", *conditioner.OUTPUTS, PLACES)), **rows}


def _layer(
    layer: TransformerLayer,
    x: torch.Tensor,
    modulation: Pieces,
    text_keys: Pieces,
    text_values: Pieces,
    kept: Iterator[torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute rows (B, R, D) with the keys and values of all; return them, and these keys and values (B, N, D)."""
    unit, own = layer.unit.to(x.dtype), layer.attn1
    y = normalize_rms(x, layer.eps) * unit * modulation.take() + modulation.take()
    key, value = (torch.cat([part(y), next(kept)], 1) for part in (own.to_k, own.to_v))
    query, *pair = (split_heads(rows, own.heads) for rows in (own.to_q(y), key, value))
    x = x + own.to_out[0](attend(query * own.scale, *pair))
    y = normalize_rms(x, layer.eps) * unit * modulation.take() + modulation.take()
    x = x + layer.attn2(y, text_keys.take(), text_values.take())
    y = F.layer_norm(x, x.shape[-1:], eps=layer.eps) * modulation.take() + modulation.take()
    return x + layer.ff(y), key, value
