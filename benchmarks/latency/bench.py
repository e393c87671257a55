"""`amused-edge bench latency`: from bundles to a folder with results and report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.latency.measure import LatencyOptions, measure_latency, measure_precision, settings_of_run
from amused_edge.benchmarks.latency.page import page
from amused_edge.benchmarks.latency.results import PICTURE, Failure, LatencyResult, summarise
from amused_edge.benchmarks.latency.shares import Share, shares
from amused_edge.benchmarks.machine.environment import environment, load_average
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.stages import OnStage


def bench_latency(
    specs: Sequence[SubjectSpec],
    options: LatencyOptions,
    out: Path,
    on_turn: OnStage | None = None,
    *,
    left_out: Mapping[str, str] | None = None,
) -> LatencyResult:
    """Measure subjects, the first of which is the baseline, and write `results.json`, `report.md` and `report.html`.

    An interrupted run goes on where it stopped when called again with the same arguments.

    Parameters
    ----------
    left_out
        Label -> why a subject is not measured, for the report.

    Raises
    ------
    OutputExistsError, OptionsError
        `out` holds something else, see `RunFolder`.
    GraphError
        Nothing could be measured.
    """
    machine, load = environment(), load_average()
    run = RunFolder(out, {"command": "latency", "environment": asdict(machine), **settings_of_run(specs, options)})
    turns = measure_latency(specs, options, run, on_turn)
    result = _with_failures(summarise(turns), left_out or {})
    if not any(timing.part == PICTURE for timing in result.timings):
        raise GraphError(f"nothing could be measured; {specs[0].label}: {result.failures[0].reason}")
    audits, unaudited = measure_precision(specs, options, run, on_turn)
    result = _with_failures(result, {label: f"its audit failed: {reason}" for label, reason in unaudited.items()})
    near = shares(turns, audits)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    circumstances = {"made": made, "load_average_before": load, "rounds": options.rounds}
    results = {**circumstances, **run.settings, **_measured(result, near, audits)}
    run.finish(report_files("latency", results, page(specs, options, machine, result, audits, near)))
    return result


def _with_failures(result: LatencyResult, reasons: Mapping[str, str]) -> LatencyResult:
    """Add what has no turn of its own: label -> why it failed."""
    more = tuple(Failure(label, None, 1, reason) for label, reason in reasons.items())
    return replace(result, failures=result.failures + more)


def _measured(
    result: LatencyResult, near: Sequence[Share], audits: Mapping[str, Mapping[str, Audit]]
) -> dict[str, Any]:
    """Return the measured part of `results.json`."""
    return {
        **asdict(result),
        "shares_of_the_limit": [asdict(share) for share in near],
        "audits": {
            label: {stage: _audited(audit) for stage, audit in stages.items()} for label, stages in audits.items()
        },
    }


def _audited(audit: Audit) -> dict[str, Any]:
    return {
        "shares": audit.shares(),
        "shares_of_products": audit.shares(products=True),
        "operators": [asdict(operator) for operator in audit.operators],
    }
