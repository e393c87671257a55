"""The golden numbers: whether this machine computes a bundle as the one that made it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import AmusedPipeline, golden_check
from amused_edge.runtime.errors import BundleError

PERFECT = golden_check.GoldenReport(True, 0.0, 1.0, 0, golden_check.Tolerance(1e-3, 1))
"""An exported bundle's tolerance stands in it too."""


def test_this_machine_gives_the_golden_numbers(pipeline: AmusedPipeline) -> None:
    """The engine that made the bundle is the one that runs it: equal to the bit."""
    assert golden_check.compare(pipeline) == PERFECT


def stored(pipeline: AmusedPipeline) -> golden_check.Golden:
    return golden_check.Golden.from_json(pipeline.bundle.golden.read_text(encoding="utf-8"))


def test_golden_numbers_survive_the_round_trip(pipeline: AmusedPipeline) -> None:
    g = pipeline.geometry
    numbers = stored(pipeline)
    assert golden_check.Golden.from_json(numbers.to_json()) == numbers
    assert len(numbers.input_ids) == g.text_length
    assert len(numbers.tokens) == g.grid_height * g.grid_width
    assert len(numbers.pixels) == 4 * 4 * 3
    assert np.std(numbers.logits) > 0


@pytest.mark.parametrize(
    ("name", "place", "change", "expected"),
    [
        ("logits", 3, 0.5, {"logit_error"}),
        ("input_ids", 1, 1, {"same_ids"}),
        ("tokens", 7, 1, {"equal_tokens"}),
        ("pixels", 5, 9, {"pixel_error"}),
    ],
)
def test_one_changed_number_is_reported(
    pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch, name: str, place: int, change: float, expected: set[str]
) -> None:
    """As if that one number, and only that one, were another; the decoder is judged on what is stored."""
    numbers = stored(pipeline)
    getattr(numbers, name)[place] += change
    if name == "pixels":
        monkeypatch.setattr(golden_check.Golden, "from_json", staticmethod(lambda _: numbers))
    else:
        monkeypatch.setattr(golden_check, "draw", lambda _pipeline, _prompt: numbers)
    report, equal = asdict(golden_check.compare(pipeline)), asdict(PERFECT)
    assert {key for key in report if report[key] != equal[key]} == expected
    if name == "logits":
        assert report["logit_error"] == pytest.approx(0.5 / np.abs(stored(pipeline).logits).max())
    if name == "pixels":
        assert report["pixel_error"] == 9


@pytest.mark.parametrize(
    ("same_ids", "logit_error", "pixel_error", "reproduced"),
    [(True, 0.05, 4, True), (True, 0.0501, 4, False), (True, 0.05, 5, False), (False, 0.0, 0, False)],
)
def test_the_bundles_own_tolerance_judges(
    same_ids: bool, logit_error: float, pixel_error: int, reproduced: bool
) -> None:
    """Other draws alone are no fault of the engine: one near-tie may change many."""
    report = golden_check.GoldenReport(same_ids, logit_error, 0.1, pixel_error, golden_check.Tolerance(0.05, 4))
    assert report.reproduced is reproduced


def test_a_tolerance_is_stored_and_read(pipeline: AmusedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As quantizing does, whose int8 kernels differ from engine to engine."""
    assert stored(pipeline).tolerance == golden_check.Tolerance(1e-3, 1)
    wide = golden_check.Tolerance(0.25, 30)
    drawn = golden_check.draw(pipeline, "a red fox on a blue background", wide)
    numbers = golden_check.Golden.from_json(drawn.to_json())
    assert numbers.tolerance == wide
    monkeypatch.setattr(golden_check.Golden, "from_json", staticmethod(lambda _: numbers))
    assert golden_check.compare(pipeline).tolerance == wide


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        (None, "'tolerance' is None, not a dict"),
        ({"logits": "0.1", "pixels": 1}, "tolerance: 'logits' is '0.1', not a float"),
        ({"logits": 0.1, "pixels": 1.5}, "tolerance: 'pixels' is 1.5, not a int"),
        ({"logits": 0.1}, "tolerance lacks 'pixels'"),
    ],
)
def test_a_damaged_tolerance_is_refused(pipeline: AmusedPipeline, tolerance: Any, message: str) -> None:
    content = {**asdict(stored(pipeline)), "tolerance": tolerance}
    with pytest.raises(BundleError) as error:
        golden_check.Golden.from_json(json.dumps(content))
    assert message in str(error.value)


def test_a_changed_weight_is_reported(bundle_copy: Path) -> None:
    """A real change of the graph, not of its record."""
    file = bundle_copy / "denoiser.onnx.data"
    weights = np.fromfile(file, np.float32)
    weights *= np.float32(1.01)
    weights.tofile(file)
    with AmusedPipeline.from_bundle(bundle_copy, verify=False) as changed:
        report = golden_check.compare(changed)
    assert report.same_ids
    assert report.logit_error > 1e-3


@pytest.mark.parametrize("text", ["", "[]", '{"prompt": "a"}', '{"prompt": 5}'])
def test_damaged_golden_numbers_are_refused(text: str) -> None:
    with pytest.raises(BundleError, match=r"golden\.json"):
        golden_check.Golden.from_json(text)
