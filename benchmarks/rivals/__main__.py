"""Measures rivals beside ours.

`python -m amused_edge.benchmarks.rivals OUT --graphs FOLDER --ours BUNDLE CHECKPOINT PEERS`

The environment is that of the peers. The same command goes on with a run that was interrupted, or whose time was up.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from amused_edge.benchmarks.machine.environment import environment
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.rivals.make import make_rivals
from amused_edge.benchmarks.rivals.measure import RivalsOptions, measure, settings_of_run
from amused_edge.benchmarks.rivals.page import page
from amused_edge.benchmarks.rivals.results import errors, make_rows
from amused_edge.benchmarks.rivals.specs import our_models, rival_models
from amused_edge.runtime.errors import AmusedEdgeError

UNFINISHED = 3
"""Exit code of a run whose time was up: call again to go on."""


@dataclass(frozen=True)
class Request:
    """What was asked for, see the options."""

    out: Path
    graphs: Path
    ours: list[list[Path]]
    threads: int | None
    batches: list[int]
    rounds: int
    calls: int
    whole_under: float
    minutes: float | None


def _run(request: Request) -> int:
    make_rivals(request.graphs)
    ours = [
        model
        for bundle, checkpoint, peers in request.ours
        for model in our_models(bundle, checkpoint, peers, request.threads)
    ]
    sides = sorted({model.side for model in ours})
    models = [*ours, *rival_models(request.graphs, sides, request.threads)]
    options = RivalsOptions(tuple(request.batches), request.rounds, request.calls, request.whole_under, request.minutes)
    machine = environment()
    head = {"command": "rivals", "environment": asdict(machine), "threads": request.threads}
    run = RunFolder(request.out, {**head, **settings_of_run(models, options)})
    measured = measure(models, options, run, _say)
    if measured is None:
        print("rivals: time is up; the same command goes on", file=sys.stderr)
        return UNFINISHED
    rows, failures = make_rows(models, measured, options.batches), errors(measured)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"rows": [asdict(row) for row in rows], "failures": failures, "rounds": options.rounds, "made": made}
    document = page(rows, options, machine, failures, request.threads)
    run.finish(report_files("rivals", {**run.settings, **facts}, document))
    return 0


def _say(description: str, done: int, total: int) -> None:
    print(f"{done}/{total} {description}", file=sys.stderr, flush=True)


def _main() -> int:
    parser = argparse.ArgumentParser(description="Measure rivals beside ours.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--graphs", type=Path, required=True, help="folder of the rivals' graphs, made if missing")
    parser.add_argument(
        "--ours",
        type=Path,
        nargs=3,
        action="append",
        required=True,
        metavar=("BUNDLE", "CHECKPOINT", "PEERS"),
        help="a bundle, the checkpoint it was made of, and the folder of its graphs in other engines; for each size",
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--calls", type=int, default=2)
    parser.add_argument("--whole-under", type=float, default=60.0, help="seconds: longer pictures are sums alone")
    parser.add_argument("--minutes", type=float, help="begin no turn later; the same command goes on")
    try:
        return _run(Request(**vars(parser.parse_args())))
    except (AmusedEdgeError, ImportError, OSError) as error:
        print(f"rivals: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rivals: interrupted; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(_main())
