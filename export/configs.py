"""What a checkpoint's configs say of its networks and its loop. Defaults are those of the reference's constructors.

What the reference reads and a result depends on is read here, or refused. What it ignores (a VQ-GAN's
`scaling_factor`), what only training reads (dropout) and what only steers the reference's own run (`force_upcast`,
`_attn_implementation`, `dtype`) is ignored.
"""

import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from amused_edge.export.errors import CheckpointError
from amused_edge.runtime.errors import OptionsError, first_line, quoted
from amused_edge.runtime.options import choice
from amused_edge.runtime.schedule import SCHEDULES, Schedule

_LARGEST = 2**24
_FEW = {"maximum": 256}
"""Of layers: a network is built, without weights, before it is compared with those that there are."""

C = TypeVar("C", "UVitConfig", "VQGanConfig", "TextConfig", "SchedulerConfig")


@dataclass(frozen=True)
class UVitConfig:
    """Config of the U-ViT; names as in the checkpoint."""

    hidden_size: int = 1024
    use_bias: bool = False
    cond_embed_dim: int = 768
    micro_cond_encode_dim: int = 256
    micro_cond_embed_dim: int = 1280
    encoder_hidden_size: int = 768
    vocab_size: int = 8256
    codebook_size: int = 8192
    in_channels: int = 768
    block_out_channels: int = 768
    num_res_blocks: int = field(default=3, metadata=_FEW)
    downsample: bool = False
    upsample: bool = False
    block_num_heads: int = 12
    num_hidden_layers: int = field(default=22, metadata=_FEW)
    num_attention_heads: int = 16
    intermediate_size: int = 2816
    layer_norm_eps: float = 1e-6
    ln_elementwise_affine: bool = True
    sample_size: int = 64

    def __post_init__(self) -> None:
        _divides(self, "transformer", "block_num_heads", "block_out_channels")
        _divides(self, "transformer", "num_attention_heads", "hidden_size")
        if self.downsample != self.upsample:
            raise CheckpointError(
                "transformer/config.json sets only one of downsample and upsample; logits would not fit the grid"
            )

    @property
    def grid_multiple(self) -> int:
        """A token grid's sides must be multiples of this."""
        return 2 if self.downsample else 1


@dataclass(frozen=True)
class VQGanConfig:
    """Config of the VQ-GAN; names as in the checkpoint.

    Where a checkpoint is silent on `lookup_from_codebook` it is true: tokens cannot be decoded otherwise.
    """

    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = field(default=1, metadata=_FEW)
    act_fn: str = "silu"
    latent_channels: int = 3
    num_vq_embeddings: int = 256
    norm_num_groups: int = 32
    vq_embed_dim: int | None = None
    norm_type: str = "group"
    mid_block_add_attention: bool = True
    lookup_from_codebook: bool = True

    def __post_init__(self) -> None:
        stages = len(self.block_out_channels)
        _only("down_block_types", _block_names(self.down_block_types), ("DownEncoderBlock2D",) * stages)
        _only("up_block_types", _block_names(self.up_block_types), ("UpDecoderBlock2D",) * stages)
        if self.act_fn.lower() != "swish":  # another name of SiLU, in any case of letters
            _only("act_fn", self.act_fn.lower(), "silu")
        _only("norm_type", self.norm_type, "group")
        _only("in_channels", self.in_channels, 3)
        _only("out_channels", self.out_channels, 3)
        _only("lookup_from_codebook", self.lookup_from_codebook, True)
        for channels in self.block_out_channels:
            if self.norm_num_groups < 1 or channels % self.norm_num_groups:
                raise CheckpointError(
                    f"vqvae/config.json: norm_num_groups {self.norm_num_groups} does not divide {channels} channels"
                )

    @property
    def embed_dim(self) -> int:
        """Width of a code."""
        return self.latent_channels if self.vq_embed_dim is None else self.vq_embed_dim

    @property
    def factor(self) -> int:
        """Pixels per token along a side."""
        return int(2 ** (len(self.block_out_channels) - 1))


@dataclass(frozen=True)
class TextConfig:
    """Config of CLIP's text encoder: the fields that its network reads, names as in the checkpoint."""

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    projection_dim: int = 512
    num_hidden_layers: int = field(default=12, metadata=_FEW)
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    eos_token_id: int = field(default=49407, metadata={"minimum": 0})

    def __post_init__(self) -> None:
        _divides(self, "text_encoder", "num_attention_heads", "hidden_size")


@dataclass(frozen=True)
class SchedulerConfig:
    """Config of the loop's scheduler; names as in the checkpoint."""

    mask_token_id: int = field(default=0, metadata={"required": True})
    masking_schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        try:
            choice("masking_schedule", self.masking_schedule, SCHEDULES)
        except OptionsError as error:
            raise CheckpointError(f"scheduler/scheduler_config.json: {error}") from error


def read_json(path: Path, hint: str = "download the checkpoint again") -> dict[str, Any]:
    """Return the object in a JSON file; raises `CheckpointError`, which ends in the hint, where it holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({first_line(error)})"
        raise CheckpointError(f"cannot read {path}{reason}; {hint}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object; {hint}")
    return content


def parse_config(kind: type[C], content: dict[str, Any], where: str) -> C:
    """Build a config from a parsed JSON file, taking what it knows and ignoring the rest.

    Raises
    ------
    CheckpointError
        A value has the wrong type, or the network is of a kind that no aMUSEd is.
    """
    if content.get("quantization_config"):
        raise CheckpointError(
            f"{where} has a quantization_config; amused-edge converts checkpoints in floats, and quantizes the bundle"
        )
    values: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.name not in content:
            if entry.metadata.get("required"):
                raise CheckpointError(f"{where} has no {entry.name}; download the checkpoint again")
            continue
        value = content[entry.name]
        value = tuple(value) if isinstance(value, list) else value
        bounds = (entry.metadata.get("minimum", 1), entry.metadata.get("maximum", _LARGEST))
        try:
            values[entry.name] = _converted(value, entry.default, *bounds)
        except (ValueError, OverflowError) as error:
            wanted = _wanted(entry.default, *bounds)
            raise CheckpointError(f"{where}: {entry.name} is {quoted(value)}; it must be {wanted}") from error
    return kind(**values)


def _converted(value: Any, default: object, minimum: int, maximum: int) -> Any:
    """Return a value as one of the default's type, or raise `ValueError`.

    16.0 is taken for 16, and 1 for 1.0. Floats must be positive, and lists must not be empty. Where the default is
    None, so may the value be; else it is a whole number.
    """
    if isinstance(default, tuple):
        if isinstance(value, tuple) and value:
            return tuple(_converted(item, default[0], minimum, maximum) for item in value)
    elif isinstance(default, bool | str):
        if type(value) is type(default):
            return value
    elif value is None and default is None:
        return None
    elif type(value) in (int, float) and math.isfinite(value):
        if isinstance(default, float) and value > 0:
            return float(value)
        if not isinstance(default, float) and value == int(value) and minimum <= value <= maximum:
            return int(value)
    raise ValueError(value)


def _wanted(default: object, minimum: int, maximum: int) -> str:
    if isinstance(default, tuple):
        return f"a list, each item {_wanted(default[0], minimum, maximum)}"
    whole = "a whole number above 0" if minimum == 1 else f"a whole number of {minimum} or more"
    whole += "" if maximum == _LARGEST else f", at most {maximum}"
    names = {bool: "true or false", int: whole, float: "a number above 0", str: "a string"}
    return names.get(type(default), f"{whole}, or null")


def _divides(config: object, component: str, part_name: str, whole_name: str) -> None:
    part, whole = getattr(config, part_name), getattr(config, whole_name)
    if part < 1 or whole % part:
        raise CheckpointError(f"{component}/config.json: {part_name} {part} does not divide {whole_name} {whole}")


def _block_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Old checkpoints have a prefix, which the reference takes off."""
    return tuple(name.removeprefix("UNetRes") for name in names)


def _only(name: str, value: object, supported: object) -> None:
    if value != supported:
        raise CheckpointError(
            f"vqvae/config.json: {name} is {quoted(value)}; amused-edge converts VQ-GANs with {quoted(supported)}, "
            "as aMUSEd's"
        )
