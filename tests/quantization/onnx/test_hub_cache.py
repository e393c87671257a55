"""Bundles whose files are links into a hub's cache are quantized as plain ones are."""

from pathlib import Path

import pytest

from amused_edge.quantization.quantize import QuantizeOptions, quantize_bundle
from amused_edge.quantization.recipes.rules import Recipe, Rule
from amused_edge.quantization.sensitivity.search import search
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from tests.support.hub import hub_snapshot
from tests.support.validated import Validated

FEW = QuantizeOptions(("a fox", "a panda"), 1, 1)
SOME = Recipe("some", (Rule("conditioner/*", operator="matmul", bits=4, block=32, symmetric=True),))


@pytest.mark.parametrize("recipe", ["w4", "w8a8"])
def test_the_new_bundle_is_the_same_and_has_no_links(validated: Validated, tmp_path: Path, recipe: str) -> None:
    """Neither onnx_ir nor ONNX Runtime follows links to weights of a graph that is only in memory. `validate` made
    the other one with the same prompts.
    """
    linked = hub_snapshot(validated.bundle, tmp_path / "hub")
    made = [Bundle.open(validated.out / recipe), quantize_bundle(linked, tmp_path / "made", recipe, FEW)]
    graphs = [{role: graph.files for role, graph in bundle.manifest.graphs.items()} for bundle in made]
    assert graphs[0] == graphs[1]
    assert not any(path.is_symlink() for path in made[1].path.rglob("*"))
    verification.verify(Bundle.open(made[1].path))


def test_weights_are_measured_one_by_one(validated: Validated, tmp_path: Path) -> None:
    linked = hub_snapshot(validated.bundle, tmp_path / "hub")
    found = [search(path, tmp_path / f"{path.name}-table", SOME, FEW).rows for path in (validated.bundle, linked)]
    assert found[0] == found[1]


def test_core_ml_too(tiny_coreml: Path, tmp_path: Path) -> None:
    """One graph is made anew, the others are copied."""
    linked = hub_snapshot(tiny_coreml, tmp_path / "hub")
    one = Recipe("one", (Rule("conditioner/*", operator="matmul", bits=8),))
    made = [quantize_bundle(path, tmp_path / path.name, one, FEW) for path in (tiny_coreml, linked)]
    weights = [
        {file.path: file.sha256 for file in bundle.manifest.all_files() if file.path.endswith(".bin")}
        for bundle in made
    ]
    assert weights[0] == weights[1]
    verification.verify(made[1])
