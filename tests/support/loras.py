"""LoRA files as trainings write them, made with PEFT and diffusers on a tiny checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AmusedPipeline, UVit2DModel
from diffusers.loaders.lora_pipeline import AmusedLoraLoaderMixin
from diffusers.utils.peft_utils import set_weights_and_activate_adapters
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file

ATTENTION = ["to_q", "to_k", "to_v"]
EVERYTHING = [*ATTENTION, "to_out.0", "ff.net.0.proj", "ff.net.2", "kv_mapper", "downsample.conv", "mlm_layer.conv2"]
TEXT = ["q_proj", "v_proj", "fc1", "text_projection"]


def randomize_adapter(model: Any, seed: int) -> None:
    """Give every factor seeded values: PEFT starts the second at zero, which changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def trained(checkpoint: Path, *, seed: int = 0, targets: list[str] | None = None, **config: Any) -> Any:
    """Return diffusers' U-ViT of a checkpoint with an adapter that changes it."""
    model = UVit2DModel.from_pretrained(checkpoint / "transformer").eval()
    model.add_adapter(LoraConfig(target_modules=targets or ATTENTION, **config))
    randomize_adapter(model, seed)
    return model


def trained_text(checkpoint: Path, *, seed: int = 0, **config: Any) -> Any:
    """Return transformers' text encoder of a checkpoint with an adapter that changes it."""
    model = AmusedPipeline.from_pretrained(checkpoint).text_encoder.eval()
    model.add_adapter(LoraConfig(target_modules=TEXT, **config))
    randomize_adapter(model, seed)
    return model


def save_as_diffusers(folder: Path, model: Any = None, text: Any = None) -> Path:
    """Save as the training scripts do: without alpha."""
    AmusedLoraLoaderMixin.save_lora_weights(
        folder,
        transformer_lora_layers=None if model is None else get_peft_model_state_dict(model),
        text_encoder_lora_layers=None if text is None else get_peft_model_state_dict(text),
    )
    return folder


def loaded(checkpoint: Path, folders: dict[str, tuple[Path, float]]) -> Any:
    """Return diffusers' pipeline with LoRAs, name -> (folder, weight), loaded as its training script does."""
    pipeline = AmusedPipeline.from_pretrained(checkpoint)
    transformer, text = pipeline.transformer.eval(), pipeline.text_encoder.eval()
    with_text = []
    for name, (folder, _) in folders.items():
        state = load_file(folder / "pytorch_lora_weights.safetensors")
        shared: dict[str, Any] = {"network_alphas": None, "adapter_name": name}
        AmusedLoraLoaderMixin.load_lora_into_transformer(state, transformer=transformer, **shared)
        if any(key.startswith("text_encoder.") for key in state):
            with_text.append(name)
            AmusedLoraLoaderMixin.load_lora_into_text_encoder(state, text_encoder=text, prefix="text_encoder", **shared)
    weights = {name: weight for name, (_, weight) in folders.items()}
    set_weights_and_activate_adapters(transformer, list(weights), list(weights.values()))
    set_weights_and_activate_adapters(text, with_text, [weights[name] for name in with_text])
    return pipeline


def kohya(model: Any, alpha: float) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors of an adapter by the names that Kohya's trainer gives them."""
    tensors = {}
    for key, value in get_peft_model_state_dict(model).items():
        layer, _, part = key.removesuffix(".weight").rpartition(".lora_")
        flat = f"lora_unet_{layer.replace('.', '_')}"
        tensors[f"{flat}.lora_{'down' if part == 'A' else 'up'}.weight"] = value.numpy()
        tensors[f"{flat}.alpha"] = np.array(alpha, np.float32)
    return tensors
