"""Errors of the quantization room."""

from amused_edge.runtime.errors import AmusedEdgeError, OptionsError


class QuantizationError(AmusedEdgeError):
    """A bundle cannot be quantized as asked."""


class RecipeError(OptionsError):
    """A recipe is not valid, or does not fit the bundle."""
