"""Where Core AI is to be had, and what its packages compute."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amused_edge.export.graphs import Inputs
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.sensitivity.search import SearchResult
from amused_edge.runtime.engines.coreai.process import PackageProcess

needs_coreai = pytest.mark.skipif(
    find_spec("coreai_torch") is None, reason="coreai-core and coreai-torch have no wheels for this system"
)


def execute(package: Path, inputs: Inputs, row: int) -> dict[str, NDArray[Any]]:
    """What a package makes of one row of inputs in the ONNX form."""
    process = PackageProcess(package)
    try:
        dtypes = {spec.name: spec.dtype for spec in process.inputs}
        rows = {name: value[row : row + 1].numpy().astype(dtypes[name]) for name, value in inputs.items()}
        return process.run(rows)
    finally:
        process.end()


def as_torch(values: NDArray[Any]) -> torch.Tensor:
    """In float32, if they are floats."""
    return torch.from_numpy(values.astype(np.float32) if values.dtype.kind == "f" else values)


# --- One search and one bundle, for several files.

FEW = QuantizeOptions(("a fox", "a bus"), calibration_prompts=1, fidelity_prompts=1)
PROMPT = "a bus"
"""Whose picture is measured."""

COARSE = {
    "conditioner": "encoder_proj.weight",
    "denoiser": "transformer_layers.0.ff.net.2.weight",
    "image_decoder": "decoder.mid_block.resnets.0.conv1.weight",
}
"""Role -> a weight that is rounded to 4 bits."""

FED_BACK = "denoiser/transformer_layers.0.attn1.to_q.weight"
STATIC = ("denoiser/transformer_layers.0.attn1.to_v.weight", "image_decoder/decoder.mid_block.resnets.0.conv2.weight")

MIXED = Recipe(
    "every-kind",
    (
        *(Rule(f"{role}/{name}", bits=4) for role, name in COARSE.items()),
        Rule(FED_BACK, bits=4, palette=True, group=16, rounding="feedback"),
        *(Rule(place, bits=8, activations="static") for place in STATIC),
    ),
    Calibration(),
)


class Found(NamedTuple):
    """What a search for a mixed recipe gave, where, and within how many megabytes."""

    result: SearchResult
    folder: Path
    budget: float
