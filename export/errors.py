"""Errors of the export room."""

from amused_edge.runtime.errors import AmusedEdgeError


class CheckpointError(AmusedEdgeError):
    """A checkpoint cannot be read, is incomplete, or of a kind that aMUSEd does not have."""


class LoraError(AmusedEdgeError):
    """A LoRA cannot be read, is of a kind that cannot be added to weights, or does not fit the model."""


class ParityError(AmusedEdgeError):
    """An exported graph does not compute what the checkpoint's modules compute."""


class ExportError(AmusedEdgeError):
    """The options of an export do not fit the checkpoint."""


AS_SAFETENSORS = (
    "save them as safetensors first, in diffusers: "
    "`AmusedPipeline.from_pretrained(PATH).save_pretrained(NEW, safe_serialization=True)`"
)
"""The way out of pickled weights."""
