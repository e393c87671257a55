"""The text encoder beside transformers' own model."""

from typing import Any

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizerFast

from amused_edge.export.checkpoint.checkpoint import open_checkpoint
from amused_edge.export.modules.configs import TextConfig, parse_config
from amused_edge.export.modules.shapes import text_shapes
from amused_edge.export.modules.text_encoder import TextEncoder
from tests.support.checkpoints import TINY_TEXT, randomize
from tests.support.oracles import relative, shapes_of, tensors_of
from tests.support.paths import DEMO_CHECKPOINT

END = 1113


def ids_of(*prompts: str) -> torch.Tensor:
    tokenizer = CLIPTokenizerFast.from_pretrained(DEMO_CHECKPOINT / "tokenizer")
    encoded = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    return encoded.input_ids


PROMPTS = ids_of("a red fox on a blue background", "two words " * 60, "")


def tiny(**overrides: Any) -> tuple[TextConfig, CLIPTextModelWithProjection]:
    config = {**TINY_TEXT, "bos_token_id": 1112, **overrides}
    model = randomize(CLIPTextModelWithProjection(CLIPTextConfig(**config)), seed=9)
    return parse_config(TextConfig, config, "text_encoder/config.json"), model


@torch.no_grad()
def errors(encoder: TextEncoder, model: CLIPTextModelWithProjection, ids: torch.Tensor) -> tuple[float, float]:
    reference = model(ids, output_hidden_states=True)
    hidden_states, pooled = encoder(ids)
    return relative(reference.hidden_states[-2], hidden_states), relative(reference.text_embeds, pooled)


@pytest.mark.parametrize("ids", [PROMPTS, PROMPTS[2:]], ids=["three", "empty"])
def test_demo_is_transformers(ids: torch.Tensor) -> None:
    model = CLIPTextModelWithProjection.from_pretrained(DEMO_CHECKPOINT / "text_encoder", dtype=torch.float32).eval()
    assert max(errors(open_checkpoint(DEMO_CHECKPOINT).text_encoder(), model, ids)) <= 1e-4


@pytest.mark.parametrize(
    "overrides",
    [
        {"eos_token_id": 500, "hidden_act": "gelu"},
        {"eos_token_id": END, "num_hidden_layers": 3, "num_attention_heads": 4},
        {"layer_norm_eps": 1e-2, "projection_dim": 10},
    ],
    ids=["eos-500-gelu", "eos-1113", "eps"],
)
def test_tiny_is_transformers(overrides: dict[str, Any]) -> None:
    config, model = tiny(**overrides)
    ids = PROMPTS.clone()
    ids[:, 3] = 500
    encoder = TextEncoder(config, tensors_of(model))
    assert max(errors(encoder, model, ids)) <= 1e-4


@torch.no_grad()
def test_pooling_follows_the_configs_end_token() -> None:
    """With end id 2 CLIP pools at the largest id; with another one at that id's first place."""
    ids = PROMPTS[:1].clone()
    ids[:, 3] = 500
    pooled = {}
    for eos in (2, 500):
        config, model = tiny(eos_token_id=eos)
        pooled[eos] = TextEncoder(config, tensors_of(model))(ids)[1]
    assert relative(pooled[2], pooled[500]) > 1e-2


@torch.no_grad()
def test_rows_of_a_batch_do_not_influence_each_other() -> None:
    config, model = tiny()
    encoder = TextEncoder(config, tensors_of(model))
    for together, alone in zip(encoder(PROMPTS), encoder(PROMPTS[2:]), strict=True):
        assert relative(together[2:], alone) <= 1e-5


def test_declared_shapes_are_transformers() -> None:
    config, model = tiny(projection_dim=10)
    assert text_shapes(config) == shapes_of(model)
