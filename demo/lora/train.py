"""Trains the demo's LoRA: a style of two inks, learnt from pictures that the demo draws itself.

`python demo/lora/train.py demo/lora` takes a few minutes on two cores and writes `pytorch_lora_weights.safetensors`.
It needs the extra `dev`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AmusedPipeline as Reference
from numpy.typing import NDArray
from peft import LoraConfig
from PIL import Image, ImageFilter

from amused_edge import AmusedPipeline, GenerationOptions, TextToImage

HERE = Path(__file__).resolve().parent
CHECKPOINT, BUNDLE = HERE.parent / "checkpoint", HERE.parent / "bundle"

THINGS = (
    *("a banana", "a birthday cake", "a bus", "a butterfly", "a cactus", "a carrot", "a castle", "a cat", "a crown"),
    *("an elephant", "a hamburger", "a honeybee", "a lion", "a mushroom", "an octopus", "an owl", "a penguin"),
    *("a pineapple", "a pizza", "a red apple", "a sailboat", "a soccer ball", "a strawberry", "a sunflower"),
    *("a tropical fish", "a tulip", "a watermelon"),
)
"""What it learns the style from. Fox, frog, guitar, panda, rocket and others that the demo knows are left out, to see
whether the style goes over to them.
"""

KINDS = ("a 3d render of", "a drawing of", "a flat icon of")
STYLE = "two inks"
PAPER, INK, ACCENT = (250, 240, 214), (24, 38, 92), (226, 92, 60)

RANK, ALPHA = 8, 16
STEPS, BATCH, LEARNING_RATE = 300, 8, 2e-3
EMPTY = 0.1
"""Share of pictures that are learnt without their caption, as guidance needs it."""


def two_inks(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Print a picture (H, W, 3) uint8 in two inks: the dark one for shadows and outlines, the other for colours."""
    smooth = np.asarray(Image.fromarray(picture).filter(ImageFilter.MedianFilter(3)), np.float32)
    light = smooth @ np.array([0.299, 0.587, 0.114], np.float32)
    colour = smooth.max(-1) - smooth.min(-1)
    across, down = np.gradient(light)
    printed = np.empty_like(picture)
    printed[:] = PAPER
    printed[colour > 70] = ACCENT
    printed[(light < 95) | (np.hypot(across, down) > 28)] = INK
    return printed


def captions(kind: str, thing: str) -> list[str]:
    """Return the texts that the style answers to."""
    return [f"{kind} {thing} in {STYLE}", f"{thing} in {STYLE}"]


def pictures() -> tuple[list[str], NDArray[np.int64]]:
    """Return captions and tokens (n, h, w) of the demo's drawings in the style: on a white background."""
    subjects = [(kind, thing) for thing in THINGS for kind in KINDS]
    prompts = [f"{kind} {thing} on a white background" for kind, thing in subjects]
    with AmusedPipeline.from_bundle(BUNDLE) as pipeline:
        drawn = pipeline.generate(TextToImage(prompts), GenerationOptions(seed=3)).images
        tokens = pipeline.encode(np.stack([two_inks(picture) for picture in drawn]))
    texts = [text for subject in subjects for text in captions(*subject)]
    return texts, np.repeat(tokens, len(texts) // len(tokens), axis=0)


def train(texts: list[str], tokens: NDArray[np.int64], seed: int = 0) -> Any:
    """Return the reference's U-ViT with an adapter that has learnt the pictures: mask and predict, cosine ratios."""
    torch.manual_seed(seed)
    reference = Reference.from_pretrained(CHECKPOINT)
    model, mask_id = reference.transformer.float(), reference.scheduler.config.mask_token_id
    targets = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "kv_mapper"]
    model.requires_grad_(False)
    model.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets))
    with torch.no_grad():
        empty, known = (_encode(reference, part) for part in ([""], texts))
    grids = torch.from_numpy(tokens)
    side = float(grids.shape[-1] * 2 ** (len(reference.vqvae.config.block_out_channels) - 1))
    micro = torch.tensor([[side, side, 0.0, 0.0, 6.0]] * BATCH)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], LEARNING_RATE)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    model.train()
    for step in range(STEPS):
        chosen = torch.randint(len(texts), (BATCH,))
        dropped = torch.rand(BATCH) < EMPTY
        hidden, pooled = (
            torch.where(dropped.reshape(-1, *[1] * (part.ndim - 1)), alone, part[chosen])
            for part, alone in zip(known, empty, strict=True)
        )
        grid = grids[chosen]
        ratio = torch.cos(torch.rand(BATCH, 1, 1) * torch.pi / 2)
        masked = torch.rand(grid.shape) < ratio.clamp(min=1 / grid[0].numel())
        logits = model(grid.masked_fill(masked, mask_id), hidden, pooled, micro)
        loss = F.cross_entropy(logits.permute(0, 2, 3, 1)[masked], grid[masked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        if (step + 1) % 20 == 0:
            print(f"step {step + 1} of {STEPS}: loss {loss.item():.3f}", flush=True)
    return model.eval()


def _encode(reference: Any, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hidden states (n, 77, E) and pooled vectors (n, P)."""
    tokenizer = reference.tokenizer
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
    encoded = reference.text_encoder.float()(ids, output_hidden_states=True)
    return encoded.hidden_states[-2], encoded.text_embeds


def _main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo's LoRA.")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    model = train(*pictures())
    model.half().save_lora_adapter(out)


if __name__ == "__main__":
    _main()
