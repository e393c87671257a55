"""Fixtures that several rooms' tests share: the demo checkpoint and its bundle, tiny random checkpoints, and what
`amused-edge validate` makes of one.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from amused_edge.runtime import cache as cache_folder
from tests.shared import made_once

ROOT = Path(__file__).parent.parent
DEMO_CHECKPOINT = ROOT / "demo" / "checkpoint"
COMMAND = Path(sys.executable).with_name("amused-edge")

# Nothing may be fetched while tests run, and what is remembered about verified bundles stays out of the user's cache.
os.environ["HF_HUB_OFFLINE"] = "1"

# Threads of several workers would wait for each other at every barrier. Set before NumPy or torch is imported; what
# tests start inherits it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_folder, "_NOTED", set())


@pytest.fixture(scope="session")
def demo_checkpoint() -> Path:
    return DEMO_CHECKPOINT


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint exported once per test session; read-only by convention."""
    from amused_edge.export.bundle_export import export_bundle

    return made_once(tmp_path_factory, "demo", lambda root: export_bundle(DEMO_CHECKPOINT, root / "demo").path)


@pytest.fixture
def bundle_copy(demo_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the demo bundle that a test may damage."""
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


QUICK = {"calibration_prompts": 2, "fidelity_prompts": 3}


@pytest.fixture(scope="session")
def demo_prompts() -> tuple[str, ...]:
    from amused_edge.runtime.prompt_file import read_prompts

    return read_prompts(ROOT / "demo" / "prompts.txt")


@pytest.fixture(scope="session")
def quantized_demo(
    demo_bundle: Path, demo_prompts: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return `quantized_demo(recipe)`: the demo bundle by a named recipe, with few prompts, made once per session."""
    from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle

    options = QuantizeOptions(demo_prompts, **QUICK)

    @cache
    def make(recipe: str) -> Path:
        return made_once(
            tmp_path_factory,
            f"demo-{recipe}",
            lambda root: quantize_bundle(demo_bundle, root / recipe, recipe, options).path,
        )

    return make


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


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Return `make(uvit={...}, vqgan={...}, text={...})`: saves a tiny random checkpoint in diffusers layout."""

    def make(name: str = "tiny", **options: Any) -> Path:
        return write_checkpoint(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def demo_coreml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo checkpoint as Core ML packages in halves, for iOS 17; its own steps are few, to be drawn quickly."""
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.options import GenerationOptions

    few = ExportOptions(sampler=GenerationOptions(steps=4))
    return made_once(
        tmp_path_factory,
        "demo-coreml",
        lambda root: export_bundle(DEMO_CHECKPOINT, root / "demo", few, target="coreml").path,
    )


@pytest.fixture(scope="session")
def demo_coreml_w8(demo_coreml: Path, demo_prompts: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That bundle by recipe w8, measured with one prompt."""
    from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle

    one = QuantizeOptions(demo_prompts, fidelity_prompts=1)
    return made_once(
        tmp_path_factory, "demo-coreml-w8", lambda root: quantize_bundle(demo_coreml, root / "w8", "w8", one).path
    )


@pytest.fixture(scope="session")
def tiny_coreml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint as Core ML packages in halves, for iOS 17: 8 x 12 pixels, every kind of weight."""
    return made_once(tmp_path_factory, "tiny-coreml", _export_tiny_coreml)


def _export_tiny_coreml(root: Path) -> Path:
    from amused_edge.export.bundle_export import ExportOptions, export_bundle
    from amused_edge.runtime.options import GenerationOptions

    checkpoint = write_checkpoint(root / "checkpoint", uvit=TINY_COREML)
    options = ExportOptions(8, 12, GenerationOptions(steps=3, guidance_scale=2.5), name="tiny")
    return export_bundle(checkpoint, root / "tiny", options, target="coreml").path


@dataclass(frozen=True)
class Validated:
    """A tiny random checkpoint, and what the command made of it."""

    checkpoint: Path
    out: Path
    result: subprocess.CompletedProcess[str]

    @property
    def bundle(self) -> Path:
        """The exported bundle; read-only by convention."""
        return self.out / "fp32"


@pytest.fixture(scope="session")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    """One run of `amused-edge validate`; the checkpoint has every kind of weight that export writes."""
    return made_once(tmp_path_factory, "validated", _validate)


def _validate(root: Path) -> Validated:
    checkpoint = write_checkpoint(root / "tiny", uvit={"downsample": True, "upsample": True})
    (checkpoint / "generation_config.json").write_text('{"num_inference_steps": 3, "guidance_scale": 2.0}')
    (root / "prompts.txt").write_text("a fox\na panda\n", encoding="utf-8")
    few = ("--prompts", "prompts.txt", "--calibration-prompts", "1", "--fidelity-prompts", "1")
    result = subprocess.run(
        [str(COMMAND), "validate", "tiny", "out", *few],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return Validated(checkpoint, root / "out", result)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
