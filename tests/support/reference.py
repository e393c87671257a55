"""The loop as its definition says it, on modules."""

import numpy as np
import torch
from diffusers import UVit2DModel, VQModel
from numpy.typing import NDArray
from transformers import CLIPTextModelWithProjection, CLIPTokenizerFast

from tests.support.paths import DEMO_CHECKPOINT


class Reference:
    """diffusers' and transformers' own modules over the demo checkpoint, in float32."""

    def __init__(self) -> None:
        self.tokenizer = CLIPTokenizerFast.from_pretrained(DEMO_CHECKPOINT / "tokenizer")
        text = CLIPTextModelWithProjection.from_pretrained(DEMO_CHECKPOINT / "text_encoder", dtype=torch.float32)
        self.text = text.eval()
        self.uvit = UVit2DModel.from_pretrained(DEMO_CHECKPOINT / "transformer", torch_dtype=torch.float32).eval()
        self.vqgan = VQModel.from_pretrained(DEMO_CHECKPOINT / "vqvae", torch_dtype=torch.float32).eval()

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        encoded = self.tokenizer(prompts, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
        result = self.text(encoded.input_ids, output_hidden_states=True)
        micro = torch.tensor([[64.0, 64.0, 0.0, 0.0, 6.0]] * len(prompts))
        return result.hidden_states[-2], result.text_embeds, micro

    @torch.no_grad()
    def decode(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """(1, h, w) -> (H, W, 3) in [0, 1]."""
        shape = (*tokens.shape, 16)
        sample = self.vqgan.decode(torch.from_numpy(tokens), force_not_quantize=True, shape=shape).sample
        return sample.clamp(0, 1)[0].permute(1, 2, 0).numpy()
