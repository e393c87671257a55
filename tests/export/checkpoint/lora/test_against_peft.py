"""A checkpoint with LoRAs beside diffusers and PEFT with the same files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UVit2DModel
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch

from amused_edge.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from amused_edge.export.checkpoint.lora.source import LoraSource
from tests.support.loras import (
    EVERYTHING,
    kohya,
    loaded,
    randomize_adapter,
    save_as_diffusers,
    trained,
    trained_text,
)
from tests.support.oracles import relative

TOLERANCE = 2e-5
"""Of logits in float32: PEFT adds the adapter's product to the layer's output, ours to its weight."""

RESAMPLE = {"downsample": True, "upsample": True, "use_bias": True}


@pytest.fixture
def tiny(make_checkpoint: Callable[..., Path]) -> Path:
    return make_checkpoint(uvit=RESAMPLE)


def opened(tiny: Path, *sources: str | Path, scale: float | None = None) -> Checkpoint:
    return open_checkpoint(tiny, loras=[LoraSource.parse(str(source)) for source in sources], lora_scale=scale)


def inputs() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(0, 40, (2, 4, 6), generator=generator)
    hidden = torch.randn(2, 77, 24, generator=generator)
    return tokens, hidden, torch.randn(2, 16, generator=generator), torch.tensor([[12.0, 8.0, 0.0, 0.0, 6.0]] * 2)


@torch.no_grad()
def error(checkpoint: Checkpoint, reference: Any) -> float:
    """Largest difference of the logits, relative to the largest."""
    tokens, hidden, pooled, micro = inputs()
    ours = checkpoint.denoiser()(tokens, *checkpoint.conditioner()(hidden, pooled, micro))
    theirs = reference(tokens, hidden, pooled, micro).flatten(2).transpose(1, 2)
    return relative(theirs, ours)


def test_a_lora_changes_the_logits_far_beyond_the_tolerance(tiny: Path, tmp_path: Path) -> None:
    """Or else the tests below could not fail."""
    model = trained(tiny, r=1, lora_alpha=1)
    assert error(opened(tiny), model) > 100 * TOLERANCE
    assert error(opened(tiny, f"{save_as_diffusers(tmp_path / 'lora', model)}:0.9"), model) > 100 * TOLERANCE


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1), (4, 6), (16, 1)])
def test_every_layer_with_its_alpha_in_the_header(tiny: Path, tmp_path: Path, rank: int, alpha: int) -> None:
    """diffusers reads the file that diffusers wrote; attention, feed-forward, `kv_mapper`, convolutions."""
    trained(tiny, targets=EVERYTHING, r=rank, lora_alpha=alpha).save_lora_adapter(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    with safe_open(file, "pt") as header:
        config = json.loads(header.metadata()["lora_adapter_metadata"])
    reference = UVit2DModel.from_pretrained(tiny / "transformer").eval()
    reference.load_lora_adapter(load_file(file), prefix=None, metadata=config)
    checkpoint = opened(tiny, file)
    assert error(checkpoint, reference) <= TOLERANCE
    (lora,) = checkpoint.loras
    assert (lora.entry.ranks, lora.entry.scales) == ((rank,), (alpha / rank,))


@torch.no_grad()
def test_several_with_weights_and_the_text_encoder(tiny: Path, tmp_path: Path) -> None:
    one = save_as_diffusers(tmp_path / "one", trained(tiny, r=4, lora_alpha=4), trained_text(tiny, r=2, lora_alpha=2))
    two = save_as_diffusers(tmp_path / "two", trained(tiny, seed=5, targets=EVERYTHING, r=3, lora_alpha=3))
    pipeline = loaded(tiny, {"one": (one, 0.7), "two": (two, -0.5)})
    checkpoint = opened(tiny, f"{one}:0.7", f"{two}:-0.5")
    assert error(checkpoint, pipeline.transformer) <= TOLERANCE
    ids = torch.tensor([[1112, 5, 9, *[1113] * 74]])
    states, pooled = checkpoint.text_encoder()(ids)
    theirs = pipeline.text_encoder(ids, output_hidden_states=True)
    assert relative(theirs.hidden_states[-2], states) <= TOLERANCE
    assert relative(theirs.text_embeds, pooled) <= TOLERANCE


def test_a_file_without_alpha_and_the_scale_that_it_was_trained_with(tiny: Path, tmp_path: Path) -> None:
    """The published recipe: rank 16, alpha 32, which the file does not say."""
    model = trained(tiny, r=16, lora_alpha=32)
    checkpoint = opened(tiny, save_as_diffusers(tmp_path / "lora", model), scale=2.0)
    assert error(checkpoint, model) <= TOLERANCE


@pytest.mark.parametrize("rslora", [False, True])
def test_pefts_own_folder(tiny: Path, tmp_path: Path, rslora: bool) -> None:
    """`adapter_model.safetensors` and `adapter_config.json`, with patterns, and scaled by the root of the rank."""
    base = UVit2DModel.from_pretrained(tiny / "transformer")
    alphas = {"attn1.to_k": 5, r"transformer_layers\.(0|1)\.(attn1|attn2)\.to_(v|out.*)": 3, "mlm_.*2": 7}
    patterns = {"rank_pattern": {"to_q": 2, "^mlm_layer.conv2": 3}, "alpha_pattern": alphas}
    config = LoraConfig(r=4, lora_alpha=6, target_modules=EVERYTHING, use_rslora=rslora, **patterns)
    model = get_peft_model(base, config)
    randomize_adapter(model, 0)
    model.save_pretrained(tmp_path)
    assert error(opened(tiny, tmp_path), model.eval()) <= TOLERANCE


def test_kohyas_names_and_alphas(tiny: Path, tmp_path: Path) -> None:
    model = trained(tiny, targets=EVERYTHING, r=4, lora_alpha=6)
    save_file(kohya(model, 6), tmp_path / "kohya.safetensors")
    assert error(opened(tiny, tmp_path / "kohya.safetensors"), model) <= TOLERANCE


@pytest.mark.parametrize("names", [(".lora.down", ".lora.up"), (".processor{}_lora.down", ".processor{}_lora.up")])
def test_names_from_before_peft(tiny: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    model = trained(tiny, r=4, lora_alpha=4)
    tensors = load_file(save_as_diffusers(tmp_path, model) / "pytorch_lora_weights.safetensors")
    renamed = {}
    for key, value in tensors.items():
        layer, _, part = key.removesuffix(".weight").rpartition(".lora_")
        parent, _, last = layer.rpartition(".")
        name = names[part == "B"]
        old = f"{parent}{name.format('.' + last)}" if "{}" in name else layer + name
        renamed[f"{old}.weight"] = value
    save_torch(renamed, tmp_path / "old.safetensors")
    assert error(opened(tiny, tmp_path / "old.safetensors"), model) <= TOLERANCE


def test_halves_of_either_kind(tiny: Path, tmp_path: Path) -> None:
    """bfloat16, which NumPy has not, and float16: the same as their values in float32."""
    model = trained(tiny, r=4, lora_alpha=4)
    tensors = load_file(save_as_diffusers(tmp_path, model) / "pytorch_lora_weights.safetensors")
    for dtype in (torch.bfloat16, torch.float16):
        save_torch({key: value.to(dtype) for key, value in tensors.items()}, tmp_path / "half.safetensors")
        save_torch({key: value.to(dtype).float() for key, value in tensors.items()}, tmp_path / "exact.safetensors")
        halves, exact = (opened(tiny, tmp_path / f"{name}.safetensors").loras[0] for name in ("half", "exact"))
        assert halves.layers.keys() == exact.layers.keys()
        for weight, layer in exact.layers.items():
            assert (halves.layers[weight].delta() == layer.delta()).all()


def test_a_transformer_in_place_of_the_checkpoints(tiny: Path, make_checkpoint: Callable[..., Path]) -> None:
    """As DreamBooth-like trainings save it; a LoRA goes on top."""
    other = make_checkpoint("other", uvit=RESAMPLE)
    tuned = UVit2DModel.from_pretrained(tiny / "transformer").eval()
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.mul_(0.9)
    tuned.save_pretrained(other / "transformer")
    for place in (other, other / "transformer"):
        checkpoint = open_checkpoint(tiny, transformer=place)
        assert error(checkpoint, tuned) <= TOLERANCE
        assert checkpoint.fine_tuning is not None
        assert checkpoint.fine_tuning.transformer is not None
        assert checkpoint.fine_tuning.transformer.name == "other"
