"""The setting of a bundle with the least work that keeps a floor of quality: chosen by half of the prompts, checked by
the other half.

Among many settings one always looks better than it is. So the prompts that choose do not judge.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from amused_edge.benchmarks.compare.merit import choose_merit
from amused_edge.benchmarks.compare.narrowing import Narrowing
from amused_edge.benchmarks.compare.search_draw import SearchDrawing
from amused_edge.benchmarks.compare.search_page import page
from amused_edge.benchmarks.compare.tried import Found
from amused_edge.benchmarks.latency.measure import LatencyOptions
from amused_edge.benchmarks.machine.environment import Environment, environment
from amused_edge.benchmarks.metrics.statistics import ratio_over_rounds
from amused_edge.benchmarks.quality.bench import check_subjects
from amused_edge.benchmarks.quality.metrics import Instruments
from amused_edge.benchmarks.quality.sources import Sources
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.prompts import prompts_hash
from amused_edge.benchmarks.subjects.subject import Subject, SubjectSpec, make_subject
from amused_edge.runtime.checks import real_number
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage

LEAST_PROMPTS = 16
"""Of fewer, halves and their quarters say nothing."""


@dataclass(frozen=True)
class SearchOptions:
    """What is tried.

    Attributes
    ----------
    prompts
        One picture each, with every setting that is not left out before.
    baseline
        The settings whose quality is the measure.
    grid
        Settings to try beside.
    loss
        How much less quality than the baseline's will do, 0 or more, in the figure's unit.
    threads
        Of the engine; None leaves it to the engine.
    rounds
        Of timing the baseline and what was found.
    """

    prompts: tuple[str, ...]
    baseline: SamplerSettings
    grid: tuple[SamplerSettings, ...]
    loss: float
    seed: int = 0
    threads: int | None = None
    rounds: int = 5

    def __post_init__(self) -> None:
        if len(self.prompts) < LEAST_PROMPTS:
            raise OptionsError(
                f"a search got {len(self.prompts)} prompts; give {LEAST_PROMPTS} or more: half choose, half check"
            )
        object.__setattr__(self, "loss", real_number("search", self.loss))
        LatencyOptions(self.prompts[0], self.seed, (self.baseline,), (self.threads,), rounds=self.rounds)

    @property
    def halves(self) -> tuple[list[int], list[int]]:
        """Places of the prompts that choose, and of those that check: drawn without order, always the same."""
        places = np.random.Generator(np.random.Philox(1)).permutation(len(self.prompts)).tolist()
        return places[0::2], places[1::2]


def search_settings(
    spec: SubjectSpec, options: SearchOptions, tools: Instruments, out: Path, on_progress: OnStage | None = None
) -> Found:
    """Try settings, and write pictures, `results.json`, `report.md` and `report.html`.

    An interrupted run goes on where it stopped when called again with the same arguments.

    Raises
    ------
    OptionsError, OutputExistsError
        As `bench_quality`.
    """
    geometry = check_subjects([spec], options.prompts, Sources(tools))
    machine = environment()
    run = RunFolder(out, _settings_of_run(spec, options, machine))
    engine = {**spec.arguments.get("engine", {}), "threads": options.threads}
    subject = make_subject(spec.target, {**spec.arguments, "engine": engine})
    try:
        subject.load()
        drawing = SearchDrawing(subject, options.prompts, options.seed, run, on_progress)
        size = (geometry.image_height, geometry.image_width)
        merit = choose_merit(tools, lambda place: drawing.pictures(options.baseline, [place])[0], size)
        narrowing = Narrowing(drawing, options.baseline, options.prompts, options.loss, merit)
        found = narrowing.found(options.grid, *options.halves)
        found = replace(found, seconds=_seconds(subject, options, found))
    finally:
        subject.close()
    results = {"made": datetime.now(UTC).isoformat(timespec="seconds"), **run.settings, **found.to_dict()}
    run.finish(report_files("search", results, page(spec.label, found, machine)))
    return found


def _seconds(subject: Subject, options: SearchOptions, found: Found) -> Any:
    """Time whole pictures with the baseline and with what was found, in turns; None where these are the same."""
    if found.chosen.settings == options.baseline:
        return None
    times: dict[str, list[float]] = {"baseline": [], "chosen": []}
    for turn in range(options.rounds):
        for name, settings in (("baseline", options.baseline), ("chosen", found.chosen.settings)):
            prompt = options.prompts[turn % len(options.prompts)]
            subject.draw(prompt, replace(settings, steps=1), options.seed, 1)  # may have to load a graph anew
            begun = perf_counter()
            subject.draw(prompt, settings, options.seed, 1)
            times[name].append(perf_counter() - begun)
    return {**times, "ratio": ratio_over_rounds(times["chosen"], times["baseline"])}


def _settings_of_run(spec: SubjectSpec, options: SearchOptions, machine: Environment) -> dict[str, Any]:
    """Return everything that pictures depend on, for `RunFolder`."""
    return {
        "command": "search",
        "environment": asdict(machine),
        "subjects": [spec.identity()],
        "prompts_sha256": prompts_hash(options.prompts),
        "prompts": len(options.prompts),
        "baseline": options.baseline.to_dict(),
        "grid": [each.to_dict() for each in options.grid],
        "loss": options.loss,
        "seed": options.seed,
        "threads": options.threads,
    }
