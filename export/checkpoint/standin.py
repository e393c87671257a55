"""Writes a checkpoint with the exact configs of a published aMUSEd and seeded random weights: for speed and memory,
not for pictures.

`python -m amused_edge.export.checkpoint.standin amused-256 OUT`. Weights are made and written tensor by tensor, so
memory stays small.
"""

import argparse
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.export.modules.configs import TextConfig, UVitConfig, VQGanConfig, parse_config
from amused_edge.runtime.bundle.writer import new_folder
from amused_edge.runtime.system.scripts import run

_VQGAN_STAGES = 5

CONFIGS: dict[str, tuple[UVitConfig, VQGanConfig]] = {
    name: (
        UVitConfig(sample_size=grid, downsample=resample, upsample=resample),
        VQGanConfig(
            down_block_types=("DownEncoderBlock2D",) * _VQGAN_STAGES,
            up_block_types=("UpDecoderBlock2D",) * _VQGAN_STAGES,
            block_out_channels=(128, 256, 256, 512, 768),
            layers_per_block=2,
            latent_channels=64,
            num_vq_embeddings=8192,
            norm_num_groups=32,
            mid_block_add_attention=False,
        ),
    )
    for name, grid, resample in (("amused-256", 16, False), ("amused-512", 32, True))
}

MASK_TOKEN_ID = 8255

TEXT_CONFIG: dict[str, Any] = {
    "architectures": ["CLIPTextModelWithProjection"],
    "model_type": "clip_text_model",
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}

_DTYPES = {"float32": "F32", "float16": "F16"}
_START, _END = "<|startoftext|>", "<|endoftext|>"


def write_standin(name: str, out: Path, *, seed: int = 0, dtype: str = "float32") -> None:
    """Write a checkpoint folder in diffusers layout.

    Parameters
    ----------
    name
        "amused-256" or "amused-512".
    out
        New folder, which appears complete or not at all.
    dtype
        Of the weights: "float32" or "float16".

    Raises
    ------
    OutputExistsError, OptionsError
        `out` exists, or cannot be written.
    BundleError
        The disk is full.
    """
    from amused_edge.export.modules.shapes import text_shapes, uvit_shapes, vqgan_shapes

    uvit, vqgan = CONFIGS[name]
    uvit_config = {"_class_name": "UVit2DModel", **asdict(uvit)}
    vqgan_config = {"_class_name": "VQModel", **asdict(vqgan)}
    parts = {
        "text_encoder/model": (TEXT_CONFIG, text_shapes(parse_config(TextConfig, TEXT_CONFIG, "TEXT_CONFIG"))),
        "transformer/diffusion_pytorch_model": (uvit_config, uvit_shapes(uvit)),
        "vqvae/diffusion_pytorch_model": (vqgan_config, vqgan_shapes(vqgan)),
    }
    with new_folder(out) as folder:
        for stem, (config, shapes) in parts.items():
            file = folder / f"{stem}.safetensors"
            file.parent.mkdir()
            _write_json(file.parent / "config.json", config)
            _write_weights(file, shapes, seed, dtype)
        _write_json(folder / "model_index.json", _MODEL_INDEX)
        (folder / "scheduler").mkdir()
        _write_json(folder / "scheduler" / "scheduler_config.json", {"mask_token_id": MASK_TOKEN_ID})
        _write_tokenizer(folder / "tokenizer")


def _write_weights(file: Path, shapes: Mapping[str, tuple[int, ...]], seed: int, dtype: str) -> None:
    """Write a safetensors file: length of the header, header, then every tensor in its order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, shape in shapes.items():
        end = position + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _DTYPES[dtype], "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    with file.open("xb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            opened.write(_random(name, shape, seed).astype(dtype).tobytes())


def _random(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Values of a size that keeps activations near one: norm weights near 1, matrices by their fan-in."""
    noise = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = noise.standard_normal(shape, dtype=np.float32)
    if "embedding" in name:
        return values
    if len(shape) == 1:
        centre = 1.0 if name.endswith("weight") else 0.0
        return np.float32(centre) + np.float32(0.02) * values
    if "channelwise_norm" in name:
        return np.float32(0.1) * values
    return values / np.float32(math.sqrt(math.prod(shape[1:])))


def _write_tokenizer(folder: Path) -> None:
    """A byte-level CLIP BPE without merges; only the special tokens stand where CLIP's vocabulary has them."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    symbols = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    vocabulary |= {_START: TEXT_CONFIG["vocab_size"] - 2, _END: TEXT_CONFIG["vocab_size"] - 1}
    folder.mkdir()
    _write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    special = {"bos_token": _START, "eos_token": _END, "unk_token": _END, "pad_token": _END}
    limits = {"model_max_length": TEXT_CONFIG["max_position_embeddings"]}
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", **special, **limits})


_MODEL_INDEX = {
    "_class_name": "AmusedPipeline",
    "scheduler": ["diffusers", "AmusedScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "transformer": ["diffusers", "UVit2DModel"],
    "vqvae": ["diffusers", "VQModel"],
}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write a random checkpoint with the configs of a published aMUSEd.")
    parser.add_argument("name", choices=sorted(CONFIGS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=sorted(_DTYPES), default="float32")
    chosen = parser.parse_args()
    write_standin(chosen.name, chosen.out, seed=chosen.seed, dtype=chosen.dtype)


if __name__ == "__main__":
    run(_main, "export")
