"""A LoRA as a model takes it: for each weight two factors and a scale, whose product is added.

W + weight * alpha / rank * up @ down (Hu et al. 2021, section 4.1).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from amused_edge.export.checkpoint.lora.keys import Key, Names, Weight, layer_name
from amused_edge.export.checkpoint.lora.peft_config import Alphas
from amused_edge.export.checkpoint.lora.source import LoraSource, find_lora
from amused_edge.export.checkpoint.lora.tensors import read_tensors
from amused_edge.export.errors import LoraError
from amused_edge.runtime.arrays import FloatArray
from amused_edge.runtime.bundle.fine_tuning import LoraEntry
from amused_edge.runtime.errors import quoted

Shapes = Mapping[Weight, tuple[int, ...]]
"""Of the weights that a LoRA may change, as the checkpoint has them: (outputs, inputs), or a convolution's."""


@dataclass(frozen=True)
class Layer:
    """What is added to a weight.

    Attributes
    ----------
    down
        (rank, inputs) float32; of a convolution, inputs x kernel in the checkpoint's order.
    up
        (outputs, rank) float32.
    scale
        Of the product: weight * alpha / rank.
    """

    down: FloatArray
    up: FloatArray
    scale: float

    def delta(self) -> FloatArray:
        """Return what is added, (outputs, inputs) float32."""
        product: FloatArray = (self.up @ self.down) * np.float32(self.scale)
        return product


@dataclass(frozen=True)
class Lora:
    """A LoRA that fits a model.

    Attributes
    ----------
    entry
        What the manifest says of it.
    layers
        By the weight that each changes.
    unstated
        Whether there are layers whose alpha the file does not say.
    """

    entry: LoraEntry
    layers: dict[Weight, Layer]
    unstated: bool


def adaptable(name: str, shape: tuple[int, ...]) -> bool:
    """Say whether a LoRA may change a tensor of a checkpoint: matrices and convolutions whose LoRA is a product."""
    others = ("embedding", ".depthwise.", "up_block.upsample.")  # a table, a kernel per channel, a transposed one
    return name.endswith(".weight") and len(shape) > 1 and not any(other in name for other in others)


def read_lora(
    source: LoraSource, shapes: Shapes, *, scale: float | None = None, folded: Mapping[Weight, str] | None = None
) -> Lora:
    """Read a LoRA for a model that has such weights.

    Parameters
    ----------
    scale
        Alpha divided by rank, for layers whose alpha the file does not say; None is 1, as loaders have it.
    folded
        Weights that cannot be changed, and why.

    Raises
    ------
    LoraError
        It cannot be read, is of another kind, or does not fit: a key without a weight, a shape that is not the
        weight's.
    CheckpointError
        The hub does not give it.
    """
    found = find_lora(source)
    file = read_tensors(found.file)
    try:
        parts = _by_weight(file.tensors, Names(list(shapes), folded))
        alphas = Alphas(found.config, file.metadata, scale)
        layers = {weight: _layer(weight, part, shapes[weight], alphas) for weight, part in parts.items()}
    except LoraError as error:
        raise LoraError(f"the LoRA {found.name}: {error}") from error
    ranks = {len(layer.down) for layer in layers.values()}
    scales = {layer.scale for layer in layers.values()}
    scaled = {weight: Layer(layer.down, layer.up, layer.scale * source.weight) for weight, layer in layers.items()}
    entry = LoraEntry(found.name, file.sha256, source.weight, tuple(sorted(scales)), tuple(sorted(ranks)), len(layers))
    return Lora(entry, scaled, alphas.unstated)


def read_loras(
    sources: tuple[LoraSource, ...],
    shapes: Shapes,
    *,
    scale: float | None = None,
    folded: Mapping[Weight, str] | None = None,
) -> tuple[Lora, ...]:
    """Read several, see `read_lora`; a scale that no file needs is an error."""
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise LoraError(f"the scale of LoRAs is {scale:g}; it is alpha divided by rank, and must be above 0")
    if scale is not None and not sources:
        raise LoraError("a scale of LoRAs was given, and no LoRA")
    loras = tuple(read_lora(source, shapes, scale=scale, folded=folded) for source in sources)
    if scale is not None and not any(lora.unstated for lora in loras):
        raise LoraError(
            f"a scale of LoRAs was given, {scale:g}, and each file says its own; to add one more or less strongly, "
            "give its weight as FILE:WEIGHT"
        )
    return loras


def _by_weight(tensors: Mapping[str, FloatArray], names: Names) -> dict[Weight, dict[str, FloatArray]]:
    """Sort the tensors of a file by the weights that they change."""
    parts: dict[Weight, dict[str, FloatArray]] = {}
    for key, tensor in tensors.items():
        meant: Key = names.read(key)
        of_weight = parts.setdefault(meant.weight, {})
        if meant.part in of_weight:
            raise LoraError(f"{quoted(key)} is there a second time under another name; the file is damaged")
        of_weight[meant.part] = tensor
    if not parts:
        raise LoraError("it holds no tensors; is this file a LoRA?")
    for weight, part in parts.items():
        lacking = [name for name in ("down", "up") if name not in part]
        if lacking:
            raise LoraError(f"{layer_name(weight)} lacks its factor {lacking[0]}; the file is damaged")
    return parts


def _layer(weight: Weight, part: Mapping[str, FloatArray], shape: tuple[int, ...], alphas: Alphas) -> Layer:
    down, up, alpha = part["down"], part["up"], part.get("alpha")
    rank = down.shape[0] if down.ndim > 1 else 0
    outputs, inputs = shape[0], math.prod(shape[1:])
    if not rank or up.ndim < 2 or (up.shape[0], up.size) != (outputs, outputs * rank) or down.size != rank * inputs:
        raise LoraError(
            f"{layer_name(weight)} has factors of shapes {list(up.shape)} and {list(down.shape)}, whose product is "
            f"not of the weight's shape {list(shape)}; is the LoRA for another model?"
        )
    if alpha is not None and alpha.size != 1:
        raise LoraError(f"the alpha of {layer_name(weight)} has shape {list(alpha.shape)}; it must be one number")
    stated = None if alpha is None else float(alpha.reshape(()))
    scale = alphas.scale(weight, rank, stated)
    return Layer(down.reshape(rank, inputs), up.reshape(outputs, rank), scale)
