"""Conditioner and denoiser beside diffusers' UVit2DModel."""

import inspect
from typing import Any

import pytest
import torch
from diffusers import UVit2DModel
from diffusers.models.normalization import RMSNorm

from amused_edge.export.errors import ExportError
from amused_edge.export.modules.conditioner import OUTPUTS, Conditioner
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.shapes import uvit_shapes
from amused_edge.export.modules.tensors import declared_shapes
from tests.support.checkpoints import TINY_UVIT, randomize
from tests.support.oracles import relative, rms_norm_in_input_dtype, shapes_of, tensors_of, uvit_config
from tests.support.paths import DEMO_CHECKPOINT

RESAMPLE = {"downsample": True, "upsample": True}
NO_KV_MAPPER = {"hidden_size": 32, "block_out_channels": 32}

# name: (config, grid, batch)
CASES: dict[str, tuple[dict[str, Any], tuple[int, int], int]] = {
    "plain": ({}, (4, 4), 1),
    "resample": (RESAMPLE, (6, 10), 3),
    "bias": ({"use_bias": True}, (5, 7), 1),
    "resample-bias-3-blocks": ({**RESAMPLE, "use_bias": True, "num_res_blocks": 3}, (10, 6), 3),
    "no-affine": ({"ln_elementwise_affine": False}, (5, 7), 3),
    "no-affine-bias-resample": ({**RESAMPLE, "ln_elementwise_affine": False, "use_bias": True}, (2, 14), 1),
    "no-kv-mapper": (NO_KV_MAPPER, (5, 7), 3),
    "no-kv-mapper-bias-resample": (
        {**NO_KV_MAPPER, **RESAMPLE, "use_bias": True, "num_res_blocks": 2, "block_num_heads": 8},
        (6, 10),
        1,
    ),
    "4-layers-8-heads-2-blocks": (
        {"num_hidden_layers": 4, "num_attention_heads": 8, "num_res_blocks": 2, "block_num_heads": 6},
        (7, 3),
        1,
    ),
    "1-layer-1-head": ({"num_hidden_layers": 1, "num_attention_heads": 1, "block_num_heads": 1}, (1, 9), 3),
    "odd-encode-dim": ({"micro_cond_encode_dim": 7, "micro_cond_embed_dim": 35}, (5, 7), 3),
    "eps": ({"layer_norm_eps": 1e-3, "use_bias": True, **RESAMPLE}, (6, 10), 1),
}


def tiny(overrides: dict[str, Any]) -> UVit2DModel:
    return randomize(UVit2DModel(**{**TINY_UVIT, **overrides}), seed=3)


def inputs(model: UVit2DModel, grid: tuple[int, int], batch: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Tokens (a third masked), hidden states of 77 places, pooled text, and micro-conditions that differ by row."""
    c, generator = model.config, torch.Generator().manual_seed(7)
    tokens = torch.randint(0, c.codebook_size, (batch, *grid), generator=generator)
    tokens[torch.rand(tokens.shape, generator=generator) < 0.3] = c.vocab_size - 1
    hidden_states = torch.randn(batch, 77, c.encoder_hidden_size, generator=generator).to(dtype)
    pooled = torch.randn(batch, c.cond_embed_dim, generator=generator).to(dtype)
    micro = torch.tensor([[256.0, 192.0, 0.0, 16.0, 6.0]]) + torch.arange(batch)[:, None]
    return tokens, hidden_states, pooled, micro


@torch.no_grad()
def difference(model: UVit2DModel, grid: tuple[int, int], batch: int, dtype: torch.dtype) -> float:
    """Relative difference of our logits from the reference's."""
    tokens, *prompt = inputs(model, grid, batch, dtype)
    config = uvit_config(model)
    reference = model.to(dtype)(tokens, *prompt).flatten(2).transpose(1, 2)
    conditioning = Conditioner(config, tensors_of(model, dtype))(*prompt)
    logits = Denoiser(config, tensors_of(model, dtype))(tokens, *conditioning)
    assert logits.dtype == reference.dtype == dtype
    return relative(reference, logits)


@pytest.mark.parametrize("case", CASES)
def test_float32_logits_are_the_references(case: str) -> None:
    overrides, grid, batch = CASES[case]
    assert difference(tiny(overrides), grid, batch, torch.float32) <= 2e-5


@pytest.mark.parametrize("case", CASES)
def test_float64_logits_are_the_references(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RMSNorm, "forward", rms_norm_in_input_dtype)
    overrides, grid, batch = CASES[case]
    assert difference(tiny(overrides), grid, batch, torch.float64) <= 1e-9


def test_demo_logits_are_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    model = UVit2DModel.from_pretrained(DEMO_CHECKPOINT / "transformer", torch_dtype=torch.float32)
    assert difference(model, (16, 16), 2, torch.float32) <= 2e-5
    monkeypatch.setattr(RMSNorm, "forward", rms_norm_in_input_dtype)
    assert difference(model, (16, 16), 2, torch.float64) <= 1e-9


@pytest.mark.parametrize("case", CASES)
def test_declared_shapes_are_the_references(case: str) -> None:
    model = tiny(CASES[case][0])
    assert uvit_shapes(uvit_config(model)) == shapes_of(model)


@pytest.mark.parametrize("case", ["plain", "no-kv-mapper-bias-resample"])
def test_conditioner_and_denoiser_share_no_weights(case: str) -> None:
    config = uvit_config(tiny(CASES[case][0]))
    halves = [set(declared_shapes(lambda t, kind=kind: kind(config, t))) for kind in (Conditioner, Denoiser)]
    assert halves[0]
    assert halves[1]
    assert halves[0].isdisjoint(halves[1])


def test_conditioner_reads_no_tokens_and_gives_the_documented_shapes() -> None:
    assert list(inspect.signature(Conditioner.forward).parameters) == [
        "self",
        "hidden_states",
        "pooled",
        "micro_conditions",
    ]
    model = tiny({"num_res_blocks": 2, "num_hidden_layers": 3})
    _, *prompt = inputs(model, (5, 7), 3, torch.float32)
    with torch.no_grad():
        outputs = Conditioner(uvit_config(model), tensors_of(model))(*prompt)
    blocks, layers, channels, width = 2 * 2, 3, 24, 32
    shapes = dict(zip(OUTPUTS, (tuple(value.shape) for value in outputs), strict=True))
    assert shapes == {
        "block_modulation": (3, 2 * blocks, channels),
        "block_keys": (3, 2 * blocks, 2, 77, channels // 2),
        "block_values": (3, 2 * blocks, 2, 77, channels // 2),
        "layer_modulation": (3, 6 * layers, width),
        "layer_keys": (3, layers, 4, 77, width // 4),
        "layer_values": (3, layers, 4, 77, width // 4),
    }
    assert max(map(len, shapes.values())) <= 5


@torch.no_grad()
def test_rows_of_a_batch_do_not_influence_each_other() -> None:
    model = tiny(RESAMPLE)
    config = uvit_config(model)
    tokens, *prompt = inputs(model, (6, 10), 3, torch.float32)
    conditioner, denoiser = Conditioner(config, tensors_of(model)), Denoiser(config, tensors_of(model))
    together = denoiser(tokens, *conditioner(*prompt))
    alone = denoiser(tokens[1:2], *conditioner(*(part[1:2] for part in prompt)))
    assert relative(together[1:2], alone) <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("column", range(5))
def test_every_micro_condition_counts_in_its_own_place(column: int) -> None:
    """Guards the oracle comparison itself: were a column ignored on both sides, it would show nothing."""
    model = tiny({})
    conditioner = Conditioner(uvit_config(model), tensors_of(model))
    _, hidden_states, pooled, micro = inputs(model, (4, 4), 1, torch.float32)
    changed = micro.clone()
    changed[0, column] += 1
    before, after = (conditioner(hidden_states, pooled, value)[3] for value in (micro, changed))
    assert relative(before, after) > 1e-4


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("change", [-1, 1])
def test_the_denoiser_takes_every_piece_of_what_the_conditioner_gives(name: str, change: int) -> None:
    """Pieces that nobody took were passed over in silence, and blocks that found none ended in a StopIteration."""
    model = tiny({})
    config = uvit_config(model)
    tokens, text, pooled, micro = inputs(model, (4, 4), 1, torch.float32)
    given = Conditioner(config, tensors_of(model))(text, pooled, micro)
    place = OUTPUTS.index(name)
    stacked = given[place]
    pieces = stacked.shape[1]
    changed = stacked[:, :-1] if change < 0 else torch.cat([stacked, stacked[:, -1:]], dim=1)
    denoiser = Denoiser(config, tensors_of(model))
    denoiser(tokens, *given)
    with pytest.raises(ExportError, match=rf"^{name} has {pieces + change} pieces, and the denoiser takes "):
        denoiser(tokens, *given[:place], changed, *given[place + 1 :])
