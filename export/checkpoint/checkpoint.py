"""An aMUSEd checkpoint in diffusers layout: a folder, or a model id of the Hugging Face hub."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from amused_edge.export.checkpoint.fine_tuned import adaptable_weights, transformer_entry, transformer_folder
from amused_edge.export.checkpoint.hub import download, hub_model
from amused_edge.export.checkpoint.lora.lora import Lora, read_loras
from amused_edge.export.checkpoint.lora.source import LoraSource
from amused_edge.export.checkpoint.safetensors_folder import SafetensorsFolder
from amused_edge.export.checkpoint.tokenizer import CheckpointTokenizer, read_tokenizer
from amused_edge.export.checkpoint.weight_files import check_variant
from amused_edge.export.errors import CheckpointError
from amused_edge.export.modules.conditioner import Conditioner
from amused_edge.export.modules.configs import (
    SchedulerConfig,
    TextConfig,
    UVitConfig,
    VQGanConfig,
    parse_config,
    read_json,
)
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.shapes import text_shapes, uvit_shapes, vqgan_shapes
from amused_edge.export.modules.tensors import Tensors
from amused_edge.export.modules.text_encoder import TextEncoder
from amused_edge.export.modules.vqgan import ImageDecoder, ImageEncoder
from amused_edge.runtime.bundle.fine_tuning import FineTuning
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.schedule import Schedule
from amused_edge.runtime.system.library_paths import name_text

_CLASSES = {
    "transformer": (["diffusers", "UVit2DModel"],),
    "vqvae": (["diffusers", "VQModel"],),
    "scheduler": (["diffusers", "AmusedScheduler"],),
    "text_encoder": (["transformers", "CLIPTextModelWithProjection"],),
    "tokenizer": (["transformers", "CLIPTokenizer"], ["transformers", "CLIPTokenizerFast"]),
}
"""Parts of the pipeline -> what `model_index.json` may call them."""
_STALE_BUFFERS = frozenset({"text_model.embeddings.position_ids"})
"""Saved by old versions of transformers; counts from 0 up."""
_IMAGE_HALF = ("vision_model.", "visual_projection.", "logit_scale")
"""Tensors of a whole CLIP that its text encoder does not read start so."""


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
        Configs.
    mask_token_id
        From the scheduler's config.
    sampler
        From `generation_config.json`; else the schedule is from the scheduler's config, and the rest are the
        reference's defaults.
    variant
        "fp16" or None, see `SafetensorsFolder`.
    transformer_folder
        Of a U-ViT in place of the checkpoint's own; None is that.
    loras
        What is added to the weights as they are read.
    """

    folder: Path
    source: str
    text: TextConfig
    uvit: UVitConfig
    vqgan: VQGanConfig
    mask_token_id: int
    sampler: SamplerSettings
    variant: str | None = None
    transformer_folder: Path | None = None
    loras: tuple[Lora, ...] = ()

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

    @cached_property
    def tokenizer(self) -> CheckpointTokenizer:
        """The tokenizer, which fits the text encoder."""
        return read_tokenizer(self.folder / "tokenizer", self.text)

    @property
    def text_length(self) -> int:
        """Ids per prompt."""
        return self.tokenizer.length

    @cached_property
    def _transformer(self) -> SafetensorsFolder:
        folder = self.transformer_folder or self.folder / "transformer"
        weights = SafetensorsFolder(folder, "diffusers", self.variant)
        weights.check(uvit_shapes(self.uvit))
        return weights

    @cached_property
    def _vqvae(self) -> SafetensorsFolder:
        weights = SafetensorsFolder(self.folder / "vqvae", "diffusers", self.variant)
        weights.check(vqgan_shapes(self.vqgan))
        return weights

    @cached_property
    def _text_encoder(self) -> SafetensorsFolder:
        weights = SafetensorsFolder(self.folder / "text_encoder", "transformers", self.variant)
        unread = {name for name in weights.shapes if name.startswith(_IMAGE_HALF)}
        weights.check(text_shapes(self.text), _STALE_BUFFERS | unread)
        return weights

    @cached_property
    def fine_tuning(self) -> FineTuning | None:
        """What is put over the checkpoint's weights, for the manifest; None where nothing is."""
        if self.transformer_folder is None and not self.loras:
            return None
        transformer = None
        if self.transformer_folder is not None:
            transformer = transformer_entry(self.transformer_folder, self._transformer.files)
        return FineTuning(transformer, tuple(lora.entry for lora in self.loras))

    def check(self) -> None:
        """Check the tokenizer, and names and shapes of all tensors of all components; raises `CheckpointError`."""
        _ = self.tokenizer, self._transformer, self._vqvae, self._text_encoder

    def text_encoder(self, dtype: torch.dtype = torch.float32) -> TextEncoder:
        """Build the text encoder."""
        return TextEncoder(self.text, self._tensors("text_encoder", dtype))

    def conditioner(self, dtype: torch.dtype = torch.float32) -> Conditioner:
        """Build the half of the U-ViT that runs once per prompt."""
        return Conditioner(self.uvit, self._tensors("transformer", dtype))

    def denoiser(self, dtype: torch.dtype = torch.float32) -> Denoiser:
        """Build the half of the U-ViT that runs at every step."""
        return Denoiser(self.uvit, self._tensors("transformer", dtype))

    def image_decoder(self, dtype: torch.dtype = torch.float32) -> ImageDecoder:
        """Build the VQ-GAN's decoder."""
        return ImageDecoder(self.vqgan, self._tensors("vqvae", dtype))

    def image_encoder(self, dtype: torch.dtype = torch.float32) -> ImageEncoder:
        """Build the VQ-GAN's encoder with its code search."""
        return ImageEncoder(self.vqgan, self._tensors("vqvae", dtype))

    def _tensors(self, component: str, dtype: torch.dtype) -> Tensors:
        """LoRAs are added in float32, whatever the dtype."""
        parts = {"transformer": "_transformer", "text_encoder": "_text_encoder", "vqvae": "_vqvae"}
        weights: SafetensorsFolder = getattr(self, parts[component])
        stored = weights.reader()

        def read(name: str, shape: tuple[int, ...]) -> torch.Tensor:
            tensor = stored(name)
            for lora in self.loras:
                layer = lora.layers.get((component, name))
                if layer is not None:
                    tensor = tensor + torch.from_numpy(layer.delta()).reshape(shape)
            return tensor.to(dtype)

        return Tensors(read)


def open_checkpoint(
    source: str | Path,
    *,
    variant: str | None = None,
    transformer: str | Path | None = None,
    loras: Sequence[LoraSource] = (),
    lora_scale: float | None = None,
) -> Checkpoint:
    """Read the configs of a checkpoint; a hub id is downloaded (safetensors only) into the hub's cache.

    Parameters
    ----------
    source
        A folder in diffusers layout, or a hub id such as "amused/amused-256", "amused/amused-256@REVISION", or the
        address of its page.
    variant
        "fp16" for half-precision files, and the plain ones of components that have no others; None takes the plain ones
        (in a folder, fp16 ones where there are no others).
    transformer
        Folder of a U-ViT in place of the checkpoint's (`config.json` and weights), or with one in its folder
        `transformer`, as trainings of the whole model write it.
    loras, lora_scale
        What is added to the weights, in this order; alpha divided by rank of those whose files do not say it, see
        `read_loras`.

    Raises
    ------
    CheckpointError
        It is no aMUSEd checkpoint, its configs do not fit each other, or no component has the variant.
    LoraError
        A LoRA cannot be read, or does not fit.
    """
    folder, name = _found(source, variant)
    tuned = None if transformer is None else transformer_folder(Path(transformer))
    _check_classes(folder / "model_index.json")
    scheduler = _config(SchedulerConfig, folder / "scheduler" / "scheduler_config.json")
    checkpoint = Checkpoint(
        folder=folder,
        source=name,
        text=_text_config(folder / "text_encoder" / "config.json"),
        uvit=_config(UVitConfig, (tuned or folder / "transformer") / "config.json"),
        vqgan=_config(VQGanConfig, folder / "vqvae" / "config.json"),
        mask_token_id=scheduler.mask_token_id,
        sampler=_sampler(folder / "generation_config.json", scheduler.masking_schedule),
        variant=variant,
        transformer_folder=tuned,
    )
    _check_fit(checkpoint)
    if variant is not None:
        check_variant(folder, variant)
    return replace(
        checkpoint,
        loras=read_loras(tuple(loras), adaptable_weights(checkpoint.uvit, checkpoint.text), scale=lora_scale),
    )


def _found(source: str | Path, variant: str | None) -> tuple[Path, str]:
    """Return the folder, downloaded if need be, and the name of its source."""
    folder = Path(source)
    if os.path.exists(source):  # a name that is too long, or empty, is simply not there
        return folder, name_text(folder.resolve())
    model = hub_model(str(source))
    if model is None:
        raise CheckpointError(
            f"cannot read {folder / 'model_index.json'}: there is no such folder, and {quoted(str(source))} is no "
            "hub id (OWNER/NAME, such as amused/amused-256)"
        )
    return download(model, variant), model.name


def _check_classes(path: Path) -> None:
    index = read_json(path, "is this an aMUSEd checkpoint in diffusers layout?")
    for part, classes in _CLASSES.items():
        if index.get(part) not in classes:
            raise CheckpointError(f"{path}: {part} is {quoted(index.get(part))}; aMUSEd's is {classes[0]}")


def _config(kind: type[Any], path: Path) -> Any:
    return parse_config(kind, read_json(path), f"{path.parent.name}/{path.name}")


def _text_config(path: Path) -> TextConfig:
    """Where the config is a whole CLIP's, its text encoder's stands inside."""
    content = read_json(path)
    named = content.get("transformers_weights")
    if named not in (None, "model.safetensors"):
        raise CheckpointError(
            f"{path}: transformers_weights is {quoted(named)}; save the weights as model.safetensors and "
            "remove the setting"
        )
    nested = content.get("text_config", content)
    if not isinstance(nested, dict):
        raise CheckpointError(f"{path}: text_config is {quoted(nested)}; it must be the config of CLIP's text encoder")
    return parse_config(TextConfig, nested, "text_encoder/config.json")


def _sampler(path: Path, schedule: Schedule) -> SamplerSettings:
    if not path.is_file():
        return SamplerSettings(schedule=schedule)
    content = read_json(path)
    names = {"num_inference_steps": "steps", "guidance_scale": "guidance_scale"}
    names |= {"temperature": "temperature", "schedule": "schedule"}
    unknown = sorted(set(content) - set(names))
    if unknown:
        raise CheckpointError(f"{path} has an unknown setting {quoted(unknown[0])}; it may have {', '.join(names)}")
    try:
        return SamplerSettings(**{"schedule": schedule, **{names[key]: value for key, value in content.items()}})
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
        (c.uvit.encoder_hidden_size, c.text.hidden_size, "hidden_size"),
        (c.uvit.cond_embed_dim, c.text.projection_dim, "projection_dim"),
    ):
        if ours != theirs:
            raise CheckpointError(f"the U-ViT takes text of width {ours}, the text encoder's {name} is {theirs}")
    if c.uvit.micro_cond_embed_dim != 5 * c.uvit.micro_cond_encode_dim:
        raise CheckpointError(
            f"micro_cond_embed_dim is {c.uvit.micro_cond_embed_dim}, not 5 times micro_cond_encode_dim "
            f"({c.uvit.micro_cond_encode_dim})"
        )
