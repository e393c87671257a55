"""An aMUSEd checkpoint in diffusers layout: a folder, or a model id of the Hugging Face hub."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from amused_edge.export.configs import UVitConfig, VQGanConfig, parse_config
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.conditioner import Conditioner
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.text_encoder import TextEncoder
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.export.safetensors_folder import SafetensorsFolder
from amused_edge.export.tensors import Tensors, declared_shapes
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.library_paths import name_text
from amused_edge.runtime.options import SamplerSettings

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = (
    "model_index.json",
    "generation_config.json",
    "README.md",
    "*/*.json",
    "tokenizer/*",
)
_TRANSFORMER = ["diffusers", "UVit2DModel"]
_STALE_BUFFERS = frozenset({"text_model.embeddings.position_ids"})
"""Saved by old versions of transformers; counts from 0 up."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose configs were read; weights are read when a module is built.

    Attributes
    ----------
    folder
        Where it lies on this machine.
    source
        The hub id, or the folder's name.
    text, uvit, vqgan
        Configs; `text` as parsed, for transformers.
    mask_token_id
        From the scheduler's config.
    sampler
        From `generation_config.json`, else the reference's defaults.
    variant
        "fp16" or None, see `SafetensorsFolder`.
    """

    folder: Path
    source: str
    text: dict[str, Any]
    uvit: UVitConfig
    vqgan: VQGanConfig
    mask_token_id: int
    sampler: SamplerSettings
    variant: str | None = None

    @cached_property
    def license(self) -> str:
        """The licence named in the model card's header, or "unknown"."""
        from huggingface_hub.repocard import metadata_load
        from yaml import YAMLError

        card = self.folder / "README.md"
        try:
            metadata = metadata_load(card) if card.is_file() else None
        except (ValueError, YAMLError):
            metadata = None
        return str((metadata or {}).get("license", "unknown"))

    @property
    def text_vocabulary(self) -> int:
        """Ids that the text encoder knows; the default is CLIP's."""
        return int(self.text.get("vocab_size", 49408))

    @property
    def text_length(self) -> int:
        """Ids per prompt; the default is CLIP's."""
        return int(self.text.get("max_position_embeddings", 77))

    @cached_property
    def _transformer(self) -> SafetensorsFolder:
        weights = SafetensorsFolder(self.folder / "transformer", "diffusion_pytorch_model", self.variant)
        weights.check(uvit_shapes(self.uvit))
        return weights

    @cached_property
    def _vqvae(self) -> SafetensorsFolder:
        weights = SafetensorsFolder(self.folder / "vqvae", "diffusion_pytorch_model", self.variant)
        weights.check(vqgan_shapes(self.vqgan))
        return weights

    @cached_property
    def _text_encoder(self) -> SafetensorsFolder:
        weights = SafetensorsFolder(self.folder / "text_encoder", "model", self.variant)
        weights.check(text_shapes(self.text), _STALE_BUFFERS)
        return weights

    def check(self) -> None:
        """Check names and shapes of all tensors of all components; raises `CheckpointError`."""
        _ = self._transformer, self._vqvae, self._text_encoder

    def text_encoder(self, dtype: torch.dtype = torch.float32) -> TextEncoder:
        """Build the text encoder."""
        return TextEncoder(self.text, _tensors(self._text_encoder, dtype))

    def conditioner(self, dtype: torch.dtype = torch.float32) -> Conditioner:
        """Build the half of the U-ViT that runs once per prompt."""
        return Conditioner(self.uvit, _tensors(self._transformer, dtype))

    def denoiser(self, dtype: torch.dtype = torch.float32) -> Denoiser:
        """Build the half of the U-ViT that runs at every step."""
        return Denoiser(self.uvit, _tensors(self._transformer, dtype))

    def image_decoder(self, dtype: torch.dtype = torch.float32) -> ImageDecoder:
        """Build the VQ-GAN's decoder."""
        return ImageDecoder(self.vqgan, _tensors(self._vqvae, dtype))

    def image_encoder(self, dtype: torch.dtype = torch.float32) -> ImageEncoder:
        """Build the VQ-GAN's encoder with its code search."""
        return ImageEncoder(self.vqgan, _tensors(self._vqvae, dtype))


def open_checkpoint(source: str | Path, *, variant: str | None = None) -> Checkpoint:
    """Read the configs of a checkpoint; a hub id is downloaded (safetensors only) into the hub's cache.

    Parameters
    ----------
    source
        A folder in diffusers layout, or a hub id such as "amused/amused-256".
    variant
        "fp16" for half-precision files; None takes the plain ones (in a folder, fp16 ones where there are no others).

    Raises
    ------
    CheckpointError
        It is no aMUSEd checkpoint, or its configs do not fit each other.
    """
    folder = Path(source)
    name = name_text(folder.resolve())
    if not folder.exists() and _HUB_ID.fullmatch(str(source)):
        folder, name = _download(str(source), variant), str(source)
    index = _json(folder / "model_index.json", "is this an aMUSEd checkpoint in diffusers layout?")
    if index.get("transformer") != _TRANSFORMER:
        raise CheckpointError(
            f"{folder / 'model_index.json'}: transformer is {quoted(index.get('transformer'))}; aMUSEd's is "
            f"{_TRANSFORMER}"
        )
    checkpoint = Checkpoint(
        folder=folder,
        source=name,
        text=_json(folder / "text_encoder" / "config.json"),
        uvit=_config(UVitConfig, folder / "transformer"),
        vqgan=_config(VQGanConfig, folder / "vqvae"),
        mask_token_id=_mask_token_id(folder),
        sampler=_sampler(folder / "generation_config.json"),
        variant=variant,
    )
    _check_fit(checkpoint)
    return checkpoint


def uvit_shapes(config: UVitConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a U-ViT."""
    return declared_shapes(lambda t: (Conditioner(config, t), Denoiser(config, t)))


def vqgan_shapes(config: VQGanConfig) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a VQ-GAN."""
    return declared_shapes(lambda t: (ImageEncoder(config, t), ImageDecoder(config, t)))


def text_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every tensor of a CLIP text encoder with projection."""
    return declared_shapes(lambda t: TextEncoder(config, t))


def _tensors(weights: SafetensorsFolder, dtype: torch.dtype) -> Tensors:
    return Tensors(lambda name, shape: weights.read(name).to(dtype))


def _download(model_id: str, variant: str | None) -> Path:
    import huggingface_hub

    weights = f"*/*.{variant}*.safetensors" if variant else "*/*.safetensors"
    ignored = [] if variant else ["*.fp16*"]
    try:
        return Path(
            huggingface_hub.snapshot_download(model_id, allow_patterns=[*_WANTED, weights], ignore_patterns=ignored)
        )
    except Exception as error:  # network, permissions, unknown id: the library has many
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{model_id} is neither a folder nor could it be downloaded from the hub: {reason}"
        ) from error


def _json(path: Path, hint: str = "download the checkpoint again") -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}; {hint}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object; {hint}")
    return content


def _config(kind: type[Any], folder: Path) -> Any:
    path = folder / "config.json"
    return parse_config(kind, _json(path), f"{folder.name}/config.json")


def _mask_token_id(folder: Path) -> int:
    path = folder / "scheduler" / "scheduler_config.json"
    value = _json(path).get("mask_token_id")
    if type(value) is not int:
        raise CheckpointError(f"{path}: mask_token_id is {quoted(value)}, not a whole number")
    return value


def _sampler(path: Path) -> SamplerSettings:
    if not path.is_file():
        return SamplerSettings()
    content = _json(path)
    names = {"num_inference_steps": "steps", "guidance_scale": "guidance_scale"}
    names |= {"temperature": "temperature", "schedule": "schedule"}
    unknown = sorted(set(content) - set(names))
    if unknown:
        raise CheckpointError(f"{path} has an unknown setting {quoted(unknown[0])}; it may have {', '.join(names)}")
    try:
        return SamplerSettings(**{names[key]: value for key, value in content.items()})
    except OptionsError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _check_fit(c: Checkpoint) -> None:
    """The parts must speak of the same codes, tokens and widths."""
    if c.uvit.codebook_size != c.vqgan.num_vq_embeddings:
        raise CheckpointError(
            f"the U-ViT draws {c.uvit.codebook_size} codes, the VQ-GAN has {c.vqgan.num_vq_embeddings}"
        )
    if not c.uvit.codebook_size <= c.mask_token_id < c.uvit.vocab_size:
        raise CheckpointError(
            f"mask_token_id {c.mask_token_id} is not between the codes ({c.uvit.codebook_size}) and the "
            f"vocabulary's end ({c.uvit.vocab_size})"
        )
    for ours, theirs, name in (
        (c.uvit.encoder_hidden_size, c.text.get("hidden_size"), "hidden_size"),
        (c.uvit.cond_embed_dim, c.text.get("projection_dim"), "projection_dim"),
    ):
        if ours != theirs:
            raise CheckpointError(f"the U-ViT takes text of width {ours}, the text encoder's {name} is {theirs}")
    if c.uvit.micro_cond_embed_dim != 5 * c.uvit.micro_cond_encode_dim:
        raise CheckpointError(
            f"micro_cond_embed_dim is {c.uvit.micro_cond_embed_dim}, not 5 times micro_cond_encode_dim "
            f"({c.uvit.micro_cond_encode_dim})"
        )
