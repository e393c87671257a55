"""Predictions beside what was measured, and what of a manifest they are made from."""

import re
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from amused_edge.benchmarks.prediction import known, memory, time
from amused_edge.benchmarks.prediction.shape import SHARES, Shape
from amused_edge.runtime import AmusedPipeline, Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.errors import OptionsError
from tests.support.paths import ROOT

FULL = known.Measured("float32", "portable", 256, 3827).shape


def numbers(page: str) -> list[set[str]]:
    """The numbers of each line of a guide."""
    return [set(re.findall(r"\d+(?:\.\d+)?", line)) for line in (ROOT / "docs" / page).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("row", known.MEASURED, ids=lambda row: f"{row.recipe}-{row.optimize}-{row.side}-{row.peak}")
def test_what_was_measured_is_what_the_guides_say(row: known.Measured) -> None:
    said = {f"{row.peak:g}"} | ({f"{row.seconds:g}"} if row.seconds else set())
    if row.mode == "low":
        said = {"617", "619"}  # in between
    assert any(said <= line for page in ("benchmarks.md", "performance.md") for line in numbers(page))


def test_predictions_are_near_what_was_measured() -> None:
    assert [error for error in known.memory_errors() if not -0.08 < error < 0.11] == []
    assert [error for error in known.time_errors() if not -0.18 < error < 0.02] == []


def test_sizes_by_recipe_are_those_of_the_guide() -> None:
    """Its table has the bundles that were made, in MB."""
    rows = [
        line for line in (ROOT / "docs" / "quantization.md").read_text("utf-8").splitlines() if "| bundle |" in line
    ]
    (made,) = [[float(cell.split()[0]) for cell in row.strip("|").split("|")[1:]] for row in rows]
    assert sum(FULL.files.values()) == pytest.approx((made[0] - 494.7) * 1e6, rel=0.01)  # it has no text encoder
    whole = known.Measured("float32", "portable", 256, 0, encoded=True).shape
    for recipe, size in zip(SHARES, made[1:], strict=True):
        assert sum(whole.by_recipe(recipe).files.values()) == pytest.approx(size * 1e6, rel=0.01), recipe


def test_shape_is_that_of_the_arrays(demo_bundle: Path) -> None:
    shape = Shape.of(Bundle.open(demo_bundle).manifest)
    with AmusedPipeline.from_bundle(demo_bundle) as pipeline:
        logits = pipeline.first_logits("a fox")
    assert shape.logits == logits.nbytes
    assert (shape.pixels, shape.tokens, shape.branches) == (64 * 64, 256, 2)
    assert not shape.quantized
    for role in ROLES:
        model = onnx.load(demo_bundle / f"{role}.onnx", load_external_data=False)
        weights = sum(int(onnx.numpy_helper.np.prod(tensor.dims)) for tensor in model.graph.initializer)
        assert shape.weights(role) == pytest.approx(weights, rel=0.12), role  # names and nodes are in the files too


def test_a_quantized_bundle_has_the_weights_of_its_parent(demo_bundle: Path) -> None:
    parent, made = (Shape.of(Bundle.open(path).manifest) for path in (demo_bundle, ROOT / "demo" / "bundle"))
    assert set(made.kinds.values()) == {"codes"}
    assert made.quantized
    for role in ("conditioner", "denoiser"):
        assert made.weights(role) == pytest.approx(parent.weights(role), rel=0.08), role
        assert parent.by_recipe("w8").weights(role) == pytest.approx(parent.weights(role), rel=1e-3)
    assert time.work(made).total == pytest.approx(time.work(parent).total, rel=0.1)


def test_work_is_that_of_the_published_model() -> None:
    """389 of weights and 17 of attention a step, 477 of the decoder, in 10^9, counted from the graphs."""
    parts = time.work(FULL)
    assert parts.step == pytest.approx(389e9, rel=0.03)
    assert parts.attention == pytest.approx(17e9, rel=0.1)
    assert parts.decoder == pytest.approx(477e9, rel=0.01)


def test_little_memory_and_fewer_branches_take_less() -> None:
    for recipe in SHARES:
        made = FULL.by_recipe(recipe)
        assert memory.low(made) < memory.kept(made)
        assert memory.kept(replace(made, branches=1)) < memory.kept(made)
        assert time.seconds(replace(made, branches=1), 1e11, 4e11) < time.seconds(made, 1e11, 4e11)


def test_another_engine_is_refused(demo_bundle: Path) -> None:
    manifest = replace(Bundle.open(demo_bundle).manifest, target="coreml")
    with pytest.raises(OptionsError, match="for ONNX bundles; this one is for 'coreml'"):
        Shape.of(manifest)
