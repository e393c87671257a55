"""A bundle by recipes, each made once."""

from collections.abc import Callable
from functools import cache

import pytest

from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.quantize import quantize_bundle
from amused_edge.runtime import Bundle


def quantized_once(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Return `quantized(recipe)`, calibrated and measured with one prompt."""
    options = QuantizeOptions(("a fox",), calibration_prompts=1, fidelity_prompts=1)

    @cache
    def make(recipe: str) -> Bundle:
        return quantize_bundle(bundle.path, tmp_path_factory.mktemp("made") / recipe, recipe, options)

    return make
