"""Tiny random checkpoints in diffusers layout."""

import shutil
from pathlib import Path
from typing import Any

from tests.support.paths import DEMO_CHECKPOINT

TINY_UVIT: dict[str, Any] = {
    "hidden_size": 32,
    "cond_embed_dim": 16,
    "micro_cond_encode_dim": 8,
    "micro_cond_embed_dim": 40,
    "encoder_hidden_size": 24,
    "vocab_size": 40,
    "codebook_size": 32,
    "in_channels": 16,
    "block_out_channels": 24,
    "num_res_blocks": 1,
    "block_num_heads": 2,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "sample_size": 4,
}


TINY_VQGAN: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "latent_channels": 4,
    "num_vq_embeddings": 32,
    "norm_num_groups": 4,
    "mid_block_add_attention": False,
    "lookup_from_codebook": True,
}


TINY_TEXT: dict[str, Any] = {
    "vocab_size": 1114,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
    "max_position_embeddings": 77,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
}


TINY_COREML: dict[str, Any] = {"downsample": True, "upsample": True, "use_bias": True, "num_hidden_layers": 1}


def randomize(module: Any, seed: int) -> Any:
    """Give every parameter seeded random values, norms near one: at initialisation some terms are zero and test
    nothing.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            if p.ndim > 1:
                p.copy_(noise / max(1, p[0].numel()) ** 0.5)
            else:
                p.copy_(0.2 * noise + (1.0 if name.endswith("weight") else 0.0))
    return module.eval()


def write_checkpoint(
    folder: Path,
    uvit: dict[str, Any] | None = None,
    vqgan: dict[str, Any] | None = None,
    text: dict[str, Any] | None = None,
    **save: Any,
) -> Path:
    """Save a tiny random checkpoint in diffusers layout; `save` goes to every `save_pretrained`."""
    from diffusers import AmusedScheduler, UVit2DModel, VQModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    parts = {
        "transformer": UVit2DModel(**{**TINY_UVIT, **(uvit or {})}),
        "vqvae": VQModel(**{**TINY_VQGAN, **(vqgan or {})}),
        "text_encoder": CLIPTextModelWithProjection(CLIPTextConfig(**{**TINY_TEXT, **(text or {})})),
    }
    for seed, (component, module) in enumerate(parts.items()):
        randomize(module, seed).save_pretrained(folder / component, **save)
    mask = parts["transformer"].config.vocab_size - 1
    AmusedScheduler(mask_token_id=mask).save_pretrained(folder / "scheduler")
    shutil.copytree(DEMO_CHECKPOINT / "tokenizer", folder / "tokenizer")
    shutil.copy(DEMO_CHECKPOINT / "model_index.json", folder)
    return folder
