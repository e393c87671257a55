"""What Core ML's and Core AI's packages of the tiny checkpoint have in common."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load_file

from amused_edge.export.graphs import GRAPHS

ROLES = [spec.role for spec in GRAPHS]
HALVES = ("text_encoder", "conditioner", "denoiser")
COMPONENTS = {
    "text_encoder": "text_encoder",
    "conditioner": "transformer",
    "denoiser": "transformer",
    "image_decoder": "vqvae",
    "image_encoder": "vqvae",
}
POSITIONS = "text_model.embeddings.position_embedding.weight"
"""Read at constant places, so the converters fold it, and its name is lost."""


def weights_of(bundle: Path, component: str) -> dict[str, NDArray[Any]]:
    """The tensors of the checkpoint beside a bundle."""
    (file,) = (bundle.parent / "checkpoint" / component).glob("*.safetensors")
    return load_file(file)
