"""The bundle in the repository: whole, made nowhere in particular, and what the demo checkpoint gives today.

Where this fails after a change of the export or of the recipe, `make demo-bundle` makes it anew.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle import verification
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import Manifest
from amused_edge.runtime.pipeline import AmusedPipeline
from tests.support.paths import ROOT

KEPT = ROOT / "demo" / "bundle"
PLACES = re.compile(rb"/(?:home|mnt|opt|root|tmp|Users|usr|var|work)/[ -~]{3,}|site-packages|\.venv")
"""How a path of the machine that made it would begin."""
GRAPHS = ("text_encoder", "conditioner", "denoiser", "image_decoder", "image_encoder")


@pytest.fixture(scope="module")
def fresh(quantized_demo: Callable[[str], Path]) -> Path:
    """Exported and quantized now."""
    return quantized_demo("w8")


def test_it_is_whole_and_draws_its_golden_picture() -> None:
    bundle = Bundle.open(KEPT)
    verification.verify(bundle)
    with AmusedPipeline.from_bundle(KEPT) as pipeline:
        report = golden_check.compare(pipeline)
    assert report.reproduced


def test_it_holds_the_bundle_and_nothing_else(fresh: Path) -> None:
    assert sorted(path.name for path in KEPT.iterdir()) == sorted(path.name for path in fresh.iterdir())
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 17_000_000


@pytest.mark.parametrize("name", ["manifest.json", "README.md", "golden.json", *(f"{role}.onnx" for role in GRAPHS)])
def test_no_path_of_the_machine_that_made_it(name: str) -> None:
    assert PLACES.findall((KEPT / name).read_bytes()) == []


def told(manifest: Manifest) -> dict[str, Any]:
    """What does not depend on versions, the CPU, or the number of prompts that were drawn to measure it."""
    assert manifest.quantization is not None
    return {
        "license": manifest.model.license,
        "source": manifest.model.source,
        "geometry": manifest.geometry,
        "sampler": manifest.sampler,
        "micro_conditioning": manifest.micro_conditioning,
        "target": manifest.target,
        "recipe": manifest.quantization.recipe,
        "graphs": {
            role: (entry.inputs, entry.outputs, entry.derived_tensors, entry.stored_precision)
            for role, entry in manifest.graphs.items()
        },
    }


def test_the_manifest_tells_the_same(fresh: Path) -> None:
    assert told(Bundle.open(KEPT).manifest) == told(Bundle.open(fresh).manifest)


def arrays(graph: ir.Graph) -> dict[str, np.ndarray[Any, Any]]:
    """Stored tensors by name."""
    return {name: value.const_value.numpy() for name, value in graph.initializers.items() if value.const_value}


@pytest.mark.parametrize("role", GRAPHS)
def test_the_graphs_are_those_of_a_fresh_export(role: str, fresh: Path) -> None:
    """Operators, and tensors with their codes; floats in their last bits may be another CPU's."""
    kept, made = (ir.load(folder / f"{role}.onnx").graph for folder in (KEPT, fresh))
    assert [(node.domain, node.op_type) for node in kept] == [(node.domain, node.op_type) for node in made]
    ours, theirs = arrays(kept), arrays(made)
    assert {name: (array.dtype, array.shape) for name, array in ours.items()} == {
        name: (array.dtype, array.shape) for name, array in theirs.items()
    }
    for name, array in ours.items():
        if np.issubdtype(array.dtype, np.floating):
            loose = 2e-3 if array.dtype == np.float16 else 1e-5
            np.testing.assert_allclose(array, theirs[name], rtol=loose, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
