"""Peak memory of a quality run's reduction, over simulated prompts: `python memory.py COUNT... [--features D]`.

Each count is reduced in a process of its own, from a folder that looks as if so many prompts were drawn by two bundles
and measured: records, and features that an embedder might have given. Prints a row of a table for each.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.benchmarks.machine.environment import environment
from amused_edge.benchmarks.quality import bench
from amused_edge.benchmarks.quality.draw import draw_key
from amused_edge.benchmarks.quality.instruments.judge import QUESTIONS
from amused_edge.benchmarks.quality.measure import MeasuredRun
from amused_edge.benchmarks.quality.metrics import FREE_RUNNING, REFERENCE_LPIPS, TEACHER_FORCED, TRUTH, Instruments
from amused_edge.benchmarks.quality.sources import Sources
from amused_edge.benchmarks.report.run_folder import RECORDS_NAME, RunFolder
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings

LABELS = ("fp32", "w8")
SUPPORT = Path(__file__).resolve().parents[2] / "support"


def main() -> None:
    """Reduce, or start a process for each count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", type=int, nargs="+")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--here", action="store_true")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(reduced(chosen.counts[0], chosen.features)))
        return
    print(
        f"| prompts, 2 bundles, {chosen.features} features | at the start, MB | peak, MB | seconds |\n|---|---|---|---|"
    )
    for count in chosen.counts:
        command = [sys.executable, __file__, str(count), "--features", str(chosen.features), "--here"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| {count} | {found['start']:.0f} | {found['peak']:.0f} | {found['seconds']:.0f} |", flush=True)


def reduced(count: int, size: int) -> dict[str, float]:
    """Return megabytes and seconds."""
    sys.path.insert(0, str(SUPPORT))
    specs = [SubjectSpec(label, "fake_subject:Fake", {"name": label}, (), {"kind": "fake"}) for label in LABELS]
    prompts = tuple(f"a simulated prompt of usual length, number {number}" for number in range(count))
    options = bench.QualityOptions(prompts, SamplerSettings(steps=12))
    sources = Sources(Instruments(), lambda pictures: np.zeros((len(pictures), size)))  # type: ignore[arg-type]
    bench.read_picture = lambda *_: np.full((64, 64, 3), 128, np.uint8)  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        fill(out, specs, options, sources, size)
        before = peak()
        start = time.monotonic()
        bench.bench_quality(specs, options, sources, out)
        return {"start": before, "peak": peak(), "seconds": time.monotonic() - start}


def fill(out: Path, specs: list[SubjectSpec], options: Any, sources: Sources, size: int) -> None:
    """Write what drawing and measuring would have left."""
    run = RunFolder(out, bench._settings_of_run(specs, options, environment()))
    measured = MeasuredRun(run, LABELS, options.prompts, sources)
    run.finish({})  # lets go of the folder
    generator = np.random.default_rng(1)
    names = [m.name for m in (*TEACHER_FORCED, *FREE_RUNNING, REFERENCE_LPIPS, *TRUTH)] + list(QUESTIONS)
    with (out / RECORDS_NAME).open("w", encoding="utf-8") as file:
        for index in range(len(options.prompts)):
            values = dict(zip(names, generator.random(len(names)).tolist(), strict=True))
            drawn = {label: {"logits": values, "equal_tokens": 0.5, "first_diverging_step": 3} for label in LABELS}
            for key, fields in (
                (draw_key(index), {"drawn": drawn}),
                (measured._key(index), {"values": dict.fromkeys(LABELS, values)}),
            ):
                file.write(json.dumps({"key": key, **fields}) + "\n")
    for label in LABELS:
        path = measured.features("embedder", label)._path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as features:
            for first in range(0, len(options.prompts), 100):
                rows = min(100, len(options.prompts) - first)
                features.write(generator.random((rows, size)).tobytes())


def peak() -> float:
    """Return the most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
