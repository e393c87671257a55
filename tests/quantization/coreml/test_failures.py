"""What cannot be done with a Core ML bundle is told in one clear error, and nothing is left behind."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.quantization.coreml.target import CoreMLQuantizationTarget
from amused_edge.quantization.errors import QuantizationError, RecipeError
from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Calibration, Recipe, Rule
from amused_edge.quantization.sensitivity.search import search
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.coreml.program import read_program
from amused_edge.runtime.errors import BundleError

ONE = QuantizeOptions(["a fox"], fidelity_prompts=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


FEW = Calibration(prompts=1)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("w8a8", "recipe 'w8a8' is not for Core ML: 8-bit activations need ranges .* takes a Mac"),
        ("fp16", "recipe 'fp16' is not for Core ML: Core ML bundles are exported in halves"),
        (Rule("denoiser/*", bits=8, activations="dynamic"), "8-bit activations need ranges .* takes a Mac"),
        (Rule("*", bits=16, activations="half"), "Core ML bundles are exported in halves"),
        (Rule("*", bits=16), "16 bits are what export --precision float16 stores"),
        (Rule("denoiser/*", "matmul", bits=8, block=32), "blocks, and 4 bits without a palette, need iOS 18"),
        (Rule("denoiser/*", "matmul", bits=4), "blocks, and 4 bits without a palette, need iOS 18.*--ios 18"),
        (Rule("denoiser/typo.*", bits=8), r"the pattern 'denoiser/typo\.\*' matches no weight"),
        (
            Rule("denoiser/*", "matmul", bits=8, block=32, rounding="feedback"),
            "with Core ML, rounding 'feedback' is for palettes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_recipe_that_does_not_fit(ios17: Bundle, place: Path, recipe: Any, message: str) -> None:
    if isinstance(recipe, Rule):
        recipe = Recipe("mine", (recipe,), FEW)
    with pytest.raises(RecipeError, match=message):
        quantize_bundle(ios17.path, place / "out", recipe, ONE)
    assert list(place.iterdir()) == []


def test_blocks_that_do_not_divide_the_inputs(ios18: Bundle) -> None:
    """The widths here are 32, 24 and 56."""
    recipe = Recipe("mine", (Rule("*/encoder_proj.weight", bits=8, block=32),))
    with pytest.raises(RecipeError, match=r"blocks of 32 do not divide the inputs of its shape \[32, 24\]"):
        CoreMLQuantizationTarget(ios18, recipe)


def test_a_quantized_bundle(tiny_coreml_w8: Path, place: Path) -> None:
    with pytest.raises(QuantizationError, match=r"is quantized already \(recipe 'w8'\).*amused-edge export"):
        quantize_bundle(tiny_coreml_w8, place / "out", "w8", ONE)
    assert list(place.iterdir()) == []


def test_the_sensitivity_of_each_weight_takes_an_engine(ios17: Bundle, place: Path) -> None:
    with pytest.raises(QuantizationError, match=r"is for Core ML, .*; measure an ONNX or Core AI bundle"):
        search(ios17.path, place / "out", "w8", ONE)
    assert list(place.iterdir()) == []


def poisoned(bundle: Bundle, folder: Path, role: str, name: str) -> Path:
    """A copy with a NaN in a weight, whose manifest agrees with the file."""
    shutil.copytree(bundle.path, folder)
    file = folder / f"{role}.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    value = read_program(folder / f"{role}.mlpackage").constants[name].value
    content = file.read_bytes()
    assert content.count(value.tobytes()) == 1
    spoilt = value.copy()
    spoilt.flat[7] = np.nan
    file.write_bytes(content.replace(value.tobytes(), spoilt.tobytes()))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["graphs"][role]["files"]:
        entry["sha256"] = hashlib.sha256((folder / entry["path"]).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_weights_that_are_not_finite(ios17: Bundle, place: Path, tmp_path: Path) -> None:
    name = "transformer_layers_0_attn2_to_q_weight"
    source = poisoned(ios17, tmp_path / "spoilt", "denoiser", name)
    for recipe in ("w8", "w4"):
        with pytest.raises(BundleError, match=f"denoiser/{name} has values that are not finite"):
            quantize_bundle(source, place / "out", recipe, ONE)
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("stage", ["calibrating", "quantizing conditioner", "measuring"])
def test_an_interrupt_leaves_nothing(ios17: Bundle, place: Path, stage: str) -> None:
    """One small rule, so that all else is copied."""

    def stop(description: str, index: int, total: int) -> None:
        if description == stage:
            raise KeyboardInterrupt

    recipe = Recipe("mine", (Rule("text_encoder/text_projection.weight", bits=8),))
    with pytest.raises(KeyboardInterrupt):
        quantize_bundle(ios17.path, place / "out", recipe, ONE, on_stage=stop)
    assert list(place.iterdir()) == []
