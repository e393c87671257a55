"""Sizes of the U-ViT and the VQ-GAN as their `config.json` states them. Defaults are those of the reference's
constructors.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from amused_edge.export.errors import CheckpointError
from amused_edge.runtime.errors import quoted

C = TypeVar("C", "UVitConfig", "VQGanConfig")


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
    num_res_blocks: int = 3
    downsample: bool = False
    upsample: bool = False
    block_num_heads: int = 12
    num_hidden_layers: int = 22
    num_attention_heads: int = 16
    intermediate_size: int = 2816
    layer_norm_eps: float = 1e-6
    ln_elementwise_affine: bool = True
    sample_size: int = 64

    def __post_init__(self) -> None:
        _divides("block_num_heads", self.block_num_heads, "block_out_channels", self.block_out_channels)
        _divides("num_attention_heads", self.num_attention_heads, "hidden_size", self.hidden_size)
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
    """Config of the VQ-GAN; names as in the checkpoint."""

    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    act_fn: str = "silu"
    latent_channels: int = 3
    num_vq_embeddings: int = 256
    norm_num_groups: int = 32
    vq_embed_dim: int | None = None
    norm_type: str = "group"
    mid_block_add_attention: bool = True

    def __post_init__(self) -> None:
        stages = len(self.block_out_channels)
        _only("down_block_types", self.down_block_types, ("DownEncoderBlock2D",) * stages)
        _only("up_block_types", self.up_block_types, ("UpDecoderBlock2D",) * stages)
        _only("act_fn", self.act_fn, "silu")
        _only("norm_type", self.norm_type, "group")
        _only("in_channels", self.in_channels, 3)
        _only("out_channels", self.out_channels, 3)

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


def parse_config(kind: type[C], content: dict[str, Any], where: str) -> C:
    """Build a config from a parsed `config.json`, taking what it knows and ignoring the rest.

    Raises
    ------
    CheckpointError
        A value has the wrong type, or the network is of a kind that no aMUSEd is.
    """
    values: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.name not in content:
            continue
        value = content[entry.name]
        value = tuple(value) if isinstance(value, list) else value
        if not _fits(value, entry.default) and not (entry.name == "vq_embed_dim" and _fits(value, 1)):
            raise CheckpointError(f"{where}: {entry.name} is {quoted(value)}; it must be {_wanted(entry.default)}")
        values[entry.name] = value
    return kind(**values)


def _fits(value: object, default: object) -> bool:
    """Whether a value is of the default's type; numbers must be positive and lists must not be empty."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and bool(value) and all(_fits(item, default[0]) for item in value)
    if isinstance(default, float):
        return type(value) in (int, float) and value > 0  # type: ignore[operator]
    if type(default) is int:
        return type(value) is int and value > 0
    return type(value) is type(default)


def _wanted(default: object) -> str:
    if isinstance(default, tuple):
        return f"a list, each item {_wanted(default[0])}"
    names = {bool: "true or false", int: "a whole number above 0", float: "a number above 0", str: "a string"}
    return names.get(type(default), "a whole number above 0, or null")


def _divides(name: str, part: int, whole_name: str, whole: int) -> None:
    if part < 1 or whole % part:
        raise CheckpointError(f"transformer/config.json: {name} {part} does not divide {whole_name} {whole}")


def _only(name: str, value: object, supported: object) -> None:
    if value != supported:
        raise CheckpointError(
            f"vqvae/config.json: {name} is {quoted(value)}; amused-edge converts VQ-GANs with {quoted(supported)}, "
            "as aMUSEd's"
        )
