"""Makes the peers' graphs from a checkpoint: plain ONNX, that quantized by optimum, and OpenVINO with 8-bit weights."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from amused_edge.benchmarks.peers.one_graph import DECODER, DENOISER, FACTS_NAME
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.bundle.verification import sha256
from amused_edge.runtime.drawing.conditioning import micro_conditions
from amused_edge.runtime.errors import OptionsError

PLAIN, OPTIMUM, OPENVINO = "plain-onnx-fp32", "optimum-int8", "openvino-w8"
_OPSET = 20


class _Denoiser(nn.Module):
    """diffusers' transformer, with logits as its only output."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        input_ids: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_text_emb: torch.Tensor,
        micro_conds: torch.Tensor,
    ) -> Any:
        return self.transformer(input_ids, encoder_hidden_states, pooled_text_emb, micro_conds)


class _Decoder(nn.Module):
    """diffusers' VQ-GAN from tokens to pixels in [0, 1]."""

    def __init__(self, vqvae: Any) -> None:
        super().__init__()
        self.vqvae = vqvae

    def forward(self, tokens: torch.Tensor) -> Any:
        shape = (*tokens.shape, self.vqvae.config.latent_channels)
        return self.vqvae.decode(tokens, force_not_quantize=True, shape=shape, return_dict=False)[0]


def make_peers(checkpoint: str, bundle: Path, out: Path, optimum_python: Path | None = None) -> None:
    """Make what is missing in `out`: a folder for each peer.

    Parameters
    ----------
    checkpoint
        Folder in diffusers layout.
    bundle
        The checkpoint as it was exported by us.
    optimum_python
        Interpreter of an environment with optimum-onnx; None makes no graphs with it.
    """
    manifest = Bundle.open(bundle).manifest
    facts = {
        "checkpoint_sha256": checkpoint_hash(Path(checkpoint)),
        "geometry": asdict(manifest.geometry),
        "micro_conditions": micro_conditions(manifest.geometry, manifest.micro_conditioning).tolist(),
    }
    script = Path(__file__).with_name("optimum_quantize.py")
    makers: dict[str, Callable[[Path], object]] = {
        PLAIN: lambda folder: _export(checkpoint, folder, manifest),
        OPTIMUM: lambda folder: _run([str(optimum_python), str(script), str(out / PLAIN), str(folder)]),
        OPENVINO: lambda folder: _to_openvino(out / PLAIN, folder),
    }
    if optimum_python is None:
        del makers[OPTIMUM]
    for name, make in makers.items():
        if (out / name / FACTS_NAME).exists():
            check_made(out / name, facts["checkpoint_sha256"])
        else:
            (out / name).mkdir(parents=True, exist_ok=True)
            make(out / name)
            (out / name / FACTS_NAME).write_text(json.dumps(facts), encoding="utf-8")  # last: it says "complete"


def checkpoint_hash(checkpoint: Path) -> str:
    """Return the SHA-256 of the names and contents of a checkpoint's weights that peers are made of."""
    digest = hashlib.sha256()
    for file in weight_files(checkpoint):
        digest.update(f"{file.parent.name}/{file.name} {sha256(file)}\n".encode())
    return digest.hexdigest()


def weight_files(checkpoint: Path) -> list[Path]:
    """Return the weights of transformer and VQ-GAN, in full precision where there are variants."""
    found = [file for part in ("transformer", "vqvae") for file in sorted((checkpoint / part).glob("*.safetensors"))]
    if not found:
        raise OptionsError(f"{checkpoint} holds no checkpoint in diffusers layout; give a folder with safetensors")
    return [file for file in found if ".fp16." not in file.name]


def check_made(folder: Path, checkpoint_sha256: str) -> None:
    """Raise `OptionsError` if a peer's graphs are missing, or were made from another checkpoint."""
    try:
        made = json.loads((folder / FACTS_NAME).read_text(encoding="utf-8")).get("checkpoint_sha256")
    except (OSError, ValueError) as error:
        raise OptionsError(f"{folder} holds no graphs of a peer; give --optimum-python to make them") from error
    if made != checkpoint_sha256:
        raise OptionsError(f"{folder} was made from another checkpoint; remove it, or give another folder of peers")


@torch.no_grad()
def _export(checkpoint: str, folder: Path, manifest: Manifest) -> None:
    g = manifest.geometry
    transformer = diffusers.UVit2DModel.from_pretrained(checkpoint, subfolder="transformer").eval()
    vqvae = diffusers.VQModel.from_pretrained(checkpoint, subfolder="vqvae").eval()
    config = transformer.config
    pair = {
        "input_ids": torch.zeros((2, g.grid_height, g.grid_width), dtype=torch.int64),
        "encoder_hidden_states": torch.zeros((2, g.text_length, config.encoder_hidden_size)),
        "pooled_text_emb": torch.zeros((2, config.cond_embed_dim)),
        "micro_conds": torch.zeros((2, 5)),
    }
    _to_onnx(_Denoiser(transformer), pair, folder / f"{DENOISER}.onnx")
    _to_onnx(_Decoder(vqvae), {"tokens": pair["input_ids"]}, folder / f"{DECODER}.onnx")


def _to_onnx(module: nn.Module, inputs: dict[str, torch.Tensor], path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(
        module.eval(),
        kwargs=inputs,
        f=str(path),
        input_names=list(inputs),
        dynamic_shapes={name: {0: batch} for name in inputs},
        opset_version=_OPSET,
        dynamo=True,
        external_data=True,
    )


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OptionsError(f"optimum could not quantize the plain graphs: {error}") from error


def _to_openvino(plain: Path, folder: Path) -> None:
    import openvino as ov

    for name in (DENOISER, DECODER):
        save_in_8_bits(ov.convert_model(str(plain / f"{name}.onnx")), folder / f"{name}.xml")


def save_in_8_bits(model: Any, path: Path) -> None:
    """Write an OpenVINO model (`.xml` with a `.bin` beside it), its weights quantized by nncf."""
    import nncf
    import openvino as ov

    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    ov.save_model(compressed, str(path), compress_to_fp16=False)
