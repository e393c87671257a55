"""A whole bundle by a calibrated recipe: drawn, measured and written by the runtime that will run it."""

import hashlib
import json

import pytest

from amused_edge.quantization import account
from amused_edge.quantization.options import QuantizeOptions
from amused_edge.quantization.quantize import quantize_bundle
from amused_edge.quantization.recipes.named import load_recipe
from amused_edge.quantization.recipes.rules import Recipe
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.pipeline import AmusedPipeline
from tests.support.coreai import needs_coreai

pytestmark = needs_coreai


@pytest.fixture(scope="module", params=["w4", "w8a8"])
def made(request: pytest.FixtureRequest, halves: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    few = QuantizeOptions(["a fox", "a bus"], calibration_prompts=1, fidelity_prompts=1)
    return quantize_bundle(halves.path, tmp_path_factory.mktemp("coreai") / request.param, request.param, few)


def test_the_manifest_says_how_it_was_made(made: Bundle, halves: Bundle) -> None:
    manifest, name = made.manifest, made.path.name
    assert (manifest.target, manifest.parity, manifest.simulated) == ("coreai", None, None)
    assert manifest.quantization is not None
    recipe = Recipe.from_dict(manifest.quantization.recipe)
    assert recipe.rules == load_recipe(name, "coreai").rules
    assert recipe.calibration is not None
    assert recipe.calibration.prompts == 1
    assert manifest.quantization.parent == hashlib.sha256((halves.path / "manifest.json").read_bytes()).hexdigest()
    assert manifest.quantization.logits is not None
    assert 0 < manifest.quantization.logits.mean_kl < 0.5
    for role in ROLES:
        graph, parent = manifest.graphs[role], halves.graph(role)
        assert (graph.inputs, graph.outputs, graph.derived_tensors) == (
            parent.inputs,
            parent.outputs,
            parent.derived_tensors,
        )
        assert graph.bytes < parent.bytes
        assert graph.executed_precision.endswith("(as the program asks)")
    rounded = {role for role in ROLES if "of int8 inputs" in manifest.graphs[role].executed_precision}
    assert rounded == ({"conditioner", "denoiser", "image_decoder"} if name == "w8a8" else set())
    formats = {each.activations for role in rounded for each in manifest.graphs[role].tensors.values()}
    assert ("static int8" in formats) == (name == "w8a8")


def test_the_account_lies_beside_it(made: Bundle) -> None:
    data, page = account.paths(made.path)
    written = json.loads(data.read_text(encoding="utf-8"))
    assert written["engine"].startswith("coreai ")
    assert made.manifest.quantization is not None
    assert made.manifest.quantization.logits is not None
    assert written["logits"]["mean_kl"] == made.manifest.quantization.logits.mean_kl
    assert "batch_matmul in float16" in page.read_text(encoding="utf-8")


def test_it_draws_its_golden_picture(made: Bundle) -> None:
    with AmusedPipeline.from_bundle(made.path) as pipeline:
        assert golden_check.compare(pipeline).reproduced
