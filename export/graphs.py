"""The five graphs of a bundle in one table: which module, what goes in, what comes out.

Example inputs drive the trace, the parity check and the manifest alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from amused_edge.export.checkpoint.checkpoint import Checkpoint
from amused_edge.export.modules import conditioner
from amused_edge.runtime.bundle.manifest import Geometry

EXAMPLE_BATCH = 2
"""torch.export keeps an axis dynamic only if its example is larger than 1."""

Inputs = dict[str, torch.Tensor]


@dataclass(frozen=True)
class GraphSpec:
    """One role of the bundle.

    Attributes
    ----------
    build
        Makes the module; every input has a leading batch axis.
    example
        Makes inputs of this batch size, seeded.
    outputs
        Names of what the module returns.
    """

    role: str
    build: Callable[[Checkpoint], nn.Module]
    example: Callable[[Checkpoint, Geometry, int], Inputs]
    outputs: tuple[str, ...]


def _text(checkpoint: Checkpoint, geometry: Geometry, batch: int) -> Inputs:
    vocabulary = checkpoint.text.vocab_size
    ids = torch.randint(0, vocabulary, (batch, geometry.text_length), generator=_generator())
    ids[:, geometry.text_length // 2 :] = vocabulary - 1  # the end token, whose first place is pooled
    return {"input_ids": ids}


def _prompt(checkpoint: Checkpoint, geometry: Geometry, batch: int) -> Inputs:
    generator, config = _generator(), checkpoint.uvit
    micro = [geometry.image_width, geometry.image_height, 0.0, 0.0, 6.0]
    return {
        "hidden_states": torch.randn(batch, geometry.text_length, config.encoder_hidden_size, generator=generator),
        "pooled": torch.randn(batch, config.cond_embed_dim, generator=generator),
        "micro_conditions": torch.tensor([micro] * batch),
    }


def _step(checkpoint: Checkpoint, geometry: Geometry, batch: int) -> Inputs:
    """Half-masked tokens, and conditioning as the conditioner gives it for random text."""
    tokens = _tokens(checkpoint, geometry, batch)["tokens"]
    masked = torch.rand(tokens.shape, generator=_generator()) < 0.5
    tokens[masked] = checkpoint.mask_token_id
    with torch.no_grad():
        outputs = checkpoint.conditioner()(**_prompt(checkpoint, geometry, batch))
    return {"tokens": tokens, **dict(zip(conditioner.OUTPUTS, outputs, strict=True))}


def _tokens(checkpoint: Checkpoint, geometry: Geometry, batch: int) -> Inputs:
    shape = (batch, geometry.grid_height, geometry.grid_width)
    return {"tokens": torch.randint(0, geometry.codebook_size, shape, generator=_generator())}


def _image(checkpoint: Checkpoint, geometry: Geometry, batch: int) -> Inputs:
    shape = (batch, geometry.image_height, geometry.image_width, 3)
    return {"image": torch.randint(0, 256, shape, generator=_generator(), dtype=torch.uint8)}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


GRAPHS = (
    GraphSpec("text_encoder", Checkpoint.text_encoder, _text, ("hidden_states", "pooled")),
    GraphSpec("conditioner", Checkpoint.conditioner, _prompt, conditioner.OUTPUTS),
    GraphSpec("denoiser", Checkpoint.denoiser, _step, ("logits",)),
    GraphSpec("image_decoder", Checkpoint.image_decoder, _tokens, ("image",)),
    GraphSpec("image_encoder", Checkpoint.image_encoder, _image, ("tokens",)),
)
