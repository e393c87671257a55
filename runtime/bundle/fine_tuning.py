"""What was put over the weights of a bundle's checkpoint, as its manifest records it."""

from dataclasses import dataclass
from typing import Any

from amused_edge.runtime.bundle.json_fields import Fields


@dataclass(frozen=True)
class LoraEntry:
    """A LoRA that was added to the weights.

    Attributes
    ----------
    name
        The file's or folder's, or the hub id.
    sha256
        Of the file.
    weight
        How strongly it was added; 1 is as it was trained.
    scales
        Alpha divided by rank, each value that layers have.
    ranks
        Each rank that layers have.
    layers
        How many weights it changed.
    """

    name: str
    sha256: str
    weight: float
    scales: tuple[float, ...]
    ranks: tuple[int, ...]
    layers: int

    @property
    def described(self) -> str:
        """In a few words, for people."""
        numbers = (", ".join(f"{value:g}" for value in values) for values in (self.ranks, self.scales))
        rank, scale = numbers
        return f"{self.name} (rank {rank}, scale {scale}, weight {self.weight:g}, {self.layers} layers)"


@dataclass(frozen=True)
class TransformerEntry:
    """A U-ViT that took the place of the checkpoint's: its folder's name, and the SHA-256 of each of its files."""

    name: str
    files: dict[str, str]


@dataclass(frozen=True)
class FineTuning:
    """What a bundle has beside its checkpoint.

    Attributes
    ----------
    transformer
        In place of the checkpoint's; None where it is that.
    loras
        In the order in which they were added.
    parent
        SHA-256 of the `manifest.json` of the bundle that the last ones were added to; None where export added all.
    """

    transformer: TransformerEntry | None = None
    loras: tuple[LoraEntry, ...] = ()
    parent: str | None = None


def read_fine_tuning(at: Fields) -> FineTuning:
    """Parse the manifest's `fine_tuning`."""
    transformer = None if at.raw("transformer") is None else _transformer(at.child("transformer"))
    parent = None if at.raw("parent") is None else at.get("parent", str)
    return FineTuning(transformer, at.items("loras", _lora), parent)


def _transformer(at: Fields) -> TransformerEntry:
    files: dict[str, Any] = at.get("files", dict)
    inner = at.child("files")
    return TransformerEntry(at.get("name", str), {name: inner.get(name, str) for name in files})


def _lora(at: Fields) -> LoraEntry:
    return LoraEntry(
        at.get("name", str),
        at.get("sha256", str),
        at.get("weight", float),
        tuple(at.values("scales", float)),
        tuple(at.values("ranks", int)),
        at.get("layers", int),
    )
