"""One command for a Mac: runs a Core ML bundle on each kind of processor and writes how right and how fast it was.

python -m amused_edge.benchmarks.scripts.mac_report BUNDLE REPORT.md
"""

import argparse
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from amused_edge.benchmarks.report.markdown import table_lines
from amused_edge.benchmarks.subjects.bundle_subject import graph_inputs
from amused_edge.benchmarks.subjects.prompts import BUILT_IN
from amused_edge.benchmarks.subjects.teacher_forcing import compare_bundles
from amused_edge.runtime import golden_check
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.golden import GOLDEN_PROMPT
from amused_edge.runtime.bundle.measurements import Fidelity, shown_psnr
from amused_edge.runtime.bundle.places import check_new_file
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.options import COMPUTE_UNITS
from amused_edge.runtime.errors import GraphError
from amused_edge.runtime.golden_check import GoldenReport
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.options import GenerationOptions
from amused_edge.runtime.system.scripts import run
from amused_edge.runtime.system.whole_file import whole_file
from amused_edge.runtime.tasks.prompt_file import read_prompts

EVALUATOR = EngineOptions(simulate="half")
UNITS = {unit: EngineOptions(compute_units=unit) for unit in COMPUTE_UNITS}
CALLS = 10
PROMPTS = 2


@dataclass(frozen=True)
class RoleTiming:
    """Milliseconds of one role: from the file to the first answer, then median, 10th and 90th percentile of calls."""

    load: float
    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class UnitReport:
    """What one engine did with a bundle.

    Attributes
    ----------
    fidelity
        Against the NumPy evaluator, teacher-forced.
    golden
        Against the golden output.
    timings
        By role; "picture" is a whole one from the prompt on.
    """

    fidelity: Fidelity
    golden: GoldenReport
    timings: dict[str, RoleTiming]


def measure(
    bundle: Bundle, engine: EngineOptions, reference: EngineOptions, prompts: Sequence[str], calls: int = CALLS
) -> UnitReport:
    """Run a bundle with an engine, and compare it with the same bundle run with another.

    Parameters
    ----------
    prompts
        Pictures that are compared, one for each.
    calls
        Of each graph that are timed, after one that is not.

    Raises
    ------
    GraphError
        An engine is not to be had here, or failed.
    """
    with AmusedPipeline(bundle, engine) as pipeline:
        timings = _timings(pipeline, engine, calls)
        with AmusedPipeline(bundle, reference) as other:
            settings = pipeline.settings(GenerationOptions())
            fidelity = compare_bundles(other, {"engine": pipeline}, prompts, settings)["engine"]
        return UnitReport(fidelity, golden_check.compare(pipeline), timings)


def _timings(pipeline: AmusedPipeline, engine: EngineOptions, calls: int) -> dict[str, RoleTiming]:
    """Time each graph on the golden prompt's inputs, then whole pictures."""
    timings = {}
    for role, feeds in graph_inputs(pipeline, GOLDEN_PROMPT).items():
        with AmusedPipeline(pipeline.bundle, engine) as fresh:
            load = _milliseconds(lambda: fresh.graph(role)(feeds))  # noqa: B023
            graph = fresh.graph(role)
            timings[role] = _timing(load, [_milliseconds(lambda: graph(feeds)) for _ in range(calls)])  # noqa: B023
    draw = [_milliseconds(lambda: pipeline.generate(GOLDEN_PROMPT)) for _ in range(max(2, calls // 3))]
    return {**timings, "picture": _timing(draw[0], draw[1:])}


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def _timing(load: float, calls: Sequence[float]) -> RoleTiming:
    p10, median, p90 = np.percentile(calls, [10, 50, 90])
    return RoleTiming(load, float(median), float(p10), float(p90))


def page(bundle: Bundle, reports: Mapping[str, UnitReport | str]) -> str:
    """Return the report as Markdown; an engine that failed has its error in place of numbers."""
    m = bundle.manifest
    mac, _, machine = platform.mac_ver()
    recipe = "as exported" if m.quantization is None else f"recipe {m.quantization.recipe.get('name')}"
    failed = {unit: found for unit, found in reports.items() if isinstance(found, str)}
    worked = {unit: found for unit, found in reports.items() if not isinstance(found, str)}
    lines = [
        f"# {m.model.name}, {recipe}, for {m.engine.name} {m.engine.version}",
        "",
        f"macOS {mac or 'none'}, {machine or platform.machine()}, {platform.processor()}, Python "
        f"{platform.python_version()}, coremltools {version('coremltools')}, amused-edge {version('amused-edge')}.",
        "",
        *_fidelity(worked),
        "",
        "Against the NumPy evaluator of the same packages. Milliseconds, one guidance branch a call:",
        "",
        *_times(worked),
    ]
    lines += ["", *(f"- {unit} failed: {reason}" for unit, reason in failed.items())] if failed else []
    return "\n".join(lines) + "\n"


def _fidelity(reports: Mapping[str, UnitReport]) -> list[str]:
    titles = ("mean KL, nats", "equal draws", "logit error", "decoder PSNR, dB", "golden logits", "golden pixels")
    rows = []
    for unit, r in reports.items():
        x, psnr = r.fidelity.logits, r.fidelity.pictures.psnr
        numbers = (f"{x.mean_kl:.1e}", f"{x.equal_draws:.2%}", f"{x.max_logit_error:.1e}", shown_psnr(psnr))
        rows.append((unit, *numbers, f"{r.golden.logit_error:.1e}", r.golden.pixel_error))
    return table_lines(("processors", *titles), rows)


def _times(reports: Mapping[str, UnitReport]) -> list[str]:
    rows = [
        (unit, role, f"{t.load:.1f}", f"{t.median:.1f}", f"{t.p10:.1f}", f"{t.p90:.1f}")
        for unit, r in reports.items()
        for role, t in r.timings.items()
    ]
    return table_lines(("processors", "graph", "load and first call", "median", "p10", "p90"), rows)


def write(bundle: Path, out: Path, prompts: Sequence[str]) -> None:
    """Measure a bundle on each kind of processor and write the report.

    Raises
    ------
    GraphError
        None of them could run the bundle; nothing was written.
    """
    check_new_file(out)
    opened = Bundle.open(bundle)
    reports: dict[str, UnitReport | str] = {}
    for unit, engine in UNITS.items():
        try:
            reports[unit] = measure(opened, engine, EVALUATOR, prompts)
        except GraphError as error:
            reports[unit] = str(error)
    if all(isinstance(found, str) for found in reports.values()):
        raise GraphError(str(next(iter(reports.values()))))
    with whole_file(out) as file:
        file.write(page(opened, reports).encode())


def _main() -> None:
    parser = argparse.ArgumentParser(description="Run a Core ML bundle on each kind of processor of this Mac.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=Path, help="text file, one prompt per line")
    parser.add_argument("--count", type=int, default=PROMPTS, help="pictures to compare")
    given = parser.parse_args()
    prompts = BUILT_IN if given.prompts is None else read_prompts(given.prompts)
    write(given.bundle, given.out, prompts[: max(1, given.count)])
    print(given.out)


if __name__ == "__main__":
    run(_main, "coreml")
