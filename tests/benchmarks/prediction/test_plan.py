"""An estimate is the times, multiplied."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from amused_edge.benchmarks.prediction.plan import Drawing, plan
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.device_results import device_results

DRAWING = Drawing("w8", "ab12", SamplerSettings(steps=12, guidance_scale=2.0), 30_000)


@pytest.fixture
def latency(tmp_path: Path) -> Path:
    """A folder of results: w8 takes 2 s a picture of 12 guided steps on 4 of 8 cores."""
    results = device_results()
    results["subjects"][0]["manifest_sha256"] = "ab12"
    (tmp_path / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return tmp_path


def test_hours_are_those_of_the_times(latency: Path) -> None:
    """Two processes of 4 cores draw at the same time on a machine of 8."""
    found = plan([DRAWING], latency)
    assert (found.pictures, found.cores) == (30_000, 8)
    assert found.core_hours == pytest.approx(30_000 * 2.0 * 4 / 3600)
    assert found.hours(10) == pytest.approx(30_000 * 2.0 / 2 / 10 / 3600)
    assert "in proportion" not in found.basis
    assert "some CPU of a phone" in found.basis


def test_who_is_measured_beside_a_reference_is_asked_twice(latency: Path) -> None:
    both = plan([DRAWING, replace(DRAWING, passes=2)], latency)
    assert both.pictures == 60_000
    assert both.core_hours == pytest.approx(3 * plan([DRAWING], latency).core_hours)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        (SamplerSettings(steps=6, guidance_scale=2.0), 0.5),
        (SamplerSettings(steps=12, guidance_scale=1.0), 0.5),
        (SamplerSettings(steps=24, guidance_scale=5.0), 2.0),
    ],
)
@pytest.mark.parametrize("measured", [True, False])
def test_other_settings_are_taken_in_proportion_to_the_denoisers_rows(
    settings: SamplerSettings, factor: float, measured: bool, latency: Path
) -> None:
    folder = latency if measured else None
    usual, other = (plan([each], folder) for each in (DRAWING, replace(DRAWING, settings=settings)))
    assert other.core_hours == pytest.approx(factor * usual.core_hours)
    assert ("in proportion" in other.basis) == measured


def test_without_times_an_assumption_is_named() -> None:
    found = plan([DRAWING])
    assert found.core_hours == pytest.approx(30_000 * 30.2 * 2 / 3600)
    text = "\n".join(found.lines([1, 16]))
    assert "30000 pictures, 503.3 core-hours at most" in text
    assert "nothing was measured; assumed are 30.2 s" in text
    assert [line.split() for line in text.splitlines()[2:4]] == [["1", "2", "251.7"], ["16", "32", "15.7"]]


def test_a_bundle_without_times_is_named(latency: Path) -> None:
    with pytest.raises(OptionsError, match="has no time of a picture by w4, only of w8; measure it"):
        plan([replace(DRAWING, label="w4", bundle="cd34")], latency)
    with pytest.raises(OptionsError, match=r"cannot read .*results\.json"):
        plan([DRAWING], latency / "nowhere")
