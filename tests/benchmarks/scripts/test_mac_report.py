"""The report for a Mac, with the evaluator in the engine's place."""

import sys
from pathlib import Path

import pytest

from amused_edge.benchmarks.scripts.mac_report import EVALUATOR, measure, page, write
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import GraphError, OutputExistsError


def test_an_engine_is_measured_against_the_evaluator(tiny_coreml: Path) -> None:
    """Not against itself: float32 sums that are not rounded differ from halves."""
    bundle = Bundle.open(tiny_coreml)
    report = measure(bundle, EngineOptions(simulate="float"), EVALUATOR, ["a fox"], calls=2)
    assert 0 < report.fidelity.logits.mean_kl < 2e-3
    assert report.golden.same_ids
    assert 0 < report.golden.logit_error < 5e-2
    assert list(report.timings) == [*ROLES, "picture"]
    assert all(0 < timing.p10 <= timing.median <= timing.p90 for timing in report.timings.values())
    lines = page(bundle, {"all": report, "cpu_only": "it broke"}).splitlines()
    assert len([line for line in lines if line.startswith("| all |")]) == 1 + len(report.timings)
    assert lines[-1] == "- cpu_only failed: it broke"


def test_the_evaluator_beside_itself_is_equal(tiny_coreml: Path) -> None:
    report = measure(Bundle.open(tiny_coreml), EVALUATOR, EVALUATOR, ["a fox"], calls=1)
    assert report.fidelity.logits.max_kl == 0
    assert report.golden.logit_error == 0


@pytest.mark.skipif(sys.platform == "darwin", reason="there, Core ML runs")
def test_off_a_mac_nothing_is_written(tiny_coreml: Path, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="Apple's systems only"):
        write(tiny_coreml, tmp_path / "report.md", ["a fox"])
    assert list(tmp_path.glob("*.md")) == []


def test_a_report_is_not_overwritten(tiny_coreml: Path, tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(OutputExistsError):
        write(tiny_coreml, tmp_path / "report.md", ["a fox"])
    assert (tmp_path / "report.md").read_text() == "mine"
