"""`amused-edge bench latency`: from bundles to a folder with results and report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from amused_edge.benchmarks.latency.measure import (
    LatencyOptions,
    measure_latency,
    measure_precision,
    settings_of_run,
)
from amused_edge.benchmarks.latency.page import page
from amused_edge.benchmarks.latency.results import PICTURE, Failure, LatencyResult, summarise
from amused_edge.benchmarks.latency.shares import shares
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
    machine = environment()
    run = RunFolder(out, {"command": "latency", "environment": asdict(machine), **settings_of_run(specs, options)})
    load = load_average()
    turns = measure_latency(specs, options, run, on_turn)
    result = summarise(turns)
    skipped = tuple(Failure(label, None, 1, reason) for label, reason in (left_out or {}).items())
    result = replace(result, failures=result.failures + skipped)
    if not any(timing.part == PICTURE for timing in result.timings):
        raise GraphError(f"nothing could be measured; {specs[0].label}: {result.failures[0].reason}")
    audits, unaudited = measure_precision(specs, options, run, on_turn)
    more = tuple(Failure(label, None, 1, f"its audit failed: {reason}") for label, reason in unaudited.items())
    result = replace(result, failures=result.failures + more)
    near = shares(turns, audits)
    results = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average_before": load,
        "rounds": options.rounds,
        **run.settings,
        **asdict(result),
        "shares_of_the_limit": [asdict(share) for share in near],
        "audits": {
            label: {
                stage: {
                    "shares": audit.shares(),
                    "shares_of_products": audit.shares(products=True),
                    "operators": [asdict(operator) for operator in audit.operators],
                }
                for stage, audit in stages.items()
            }
            for label, stages in audits.items()
        },
    }
    run.finish(report_files("latency", results, page(specs, options, machine, result, audits, near)))
    return result
