"""`amused-edge bench compare`: bundles, step counts and guidance scales in one run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.benchmarks.cluster.crew import Crew
from amused_edge.benchmarks.compare.draw import Pictures, draw_grid
from amused_edge.benchmarks.compare.merit import Merit, choose_merit
from amused_edge.benchmarks.compare.page import page
from amused_edge.benchmarks.compare.pareto import Candidate, dominator
from amused_edge.benchmarks.latency.measure import LatencyOptions, measure_latency, settings_of_run
from amused_edge.benchmarks.latency.results import PICTURE, LatencyResult, summarise
from amused_edge.benchmarks.machine.environment import Environment, environment
from amused_edge.benchmarks.metrics.statistics import bootstrap, mean, resampled
from amused_edge.benchmarks.quality.bench import check_subjects
from amused_edge.benchmarks.quality.metrics import Instruments, Values
from amused_edge.benchmarks.quality.sources import Sources
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.prompts import prompts_hash
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import GraphError, OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.stages import OnStage


@dataclass(frozen=True)
class CompareOptions:
    """What is compared.

    Attributes
    ----------
    prompts
        One picture each, with every bundle and setting.
    grid
        Settings of the loop.
    threads
        Of the engine; None leaves it to the engine.
    rounds
        Of timing.
    """

    prompts: tuple[str, ...]
    grid: tuple[SamplerSettings, ...]
    seed: int = 0
    threads: int | None = None
    rounds: int = 5

    def __post_init__(self) -> None:
        if not self.prompts:
            raise OptionsError("there is no prompt; give at least one")
        _ = self.timing  # checks the rest

    @property
    def timing(self) -> LatencyOptions:
        """How time and memory are measured."""
        return LatencyOptions(self.prompts[0], self.seed, self.grid, (self.threads,), rounds=self.rounds, calls=1)


def bench_compare(
    specs: Sequence[SubjectSpec],
    options: CompareOptions,
    tools: Instruments,
    out: Path,
    on_progress: OnStage | None = None,
    crew: Crew | None = None,
) -> list[Candidate]:
    """Draw and time everything, and write pictures, `results.json`, `report.md` and `report.html`.

    An interrupted run goes on where it stopped when called again with the same arguments. The `crew` draws (None: this
    process); time and memory are always measured here, after that.

    Raises
    ------
    OptionsError, OutputExistsError
        As `bench_quality`.
    GraphError
        A bundle could not be timed.
    """
    geometry = check_subjects(specs, options.prompts, Sources(tools))
    machine = environment()
    run = RunFolder(out, _settings_of_run(specs, options, machine))
    pictures = draw_grid(specs, options.prompts, options.grid, options.seed, run, on_progress, crew)
    timed = summarise(measure_latency(specs, options.timing, run, on_progress))
    if timed.failures:
        raise GraphError(f"{timed.failures[0].label} could not be timed: {timed.failures[0].reason}")
    best = max(options.grid, key=lambda each: each.steps)
    size = (geometry.image_height, geometry.image_width)
    merit = choose_merit(tools, lambda index: pictures(specs[0].label, best, index), size)
    candidates = _candidates(specs, options, pictures, timed, merit)
    results = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **run.settings,
        "rounds": options.rounds,
        "quality": {"metric": merit.metric.name, "better": merit.metric.better},
        "candidates": [{**asdict(candidate), **_dominated(candidate, candidates)} for candidate in candidates],
    }
    document = page(candidates, merit, len(options.prompts), options.rounds, machine)
    run.finish(report_files("compare", results, document))
    return candidates


def _settings_of_run(specs: Sequence[SubjectSpec], options: CompareOptions, machine: Environment) -> dict[str, Any]:
    """Return everything that pictures and times depend on, for `RunFolder`."""
    return {
        "command": "compare",
        "environment": asdict(machine),
        "prompts_sha256": prompts_hash(options.prompts),
        "prompts": len(options.prompts),
        **settings_of_run(specs, options.timing),
    }


def _dominated(candidate: Candidate, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return which other candidate is as good and takes less, in seconds and in memory; None where there is none."""
    found: dict[str, Any] = {}
    for figure in ("seconds", "memory"):
        other = dominator(candidate, candidates, figure)
        found[f"dominated_in_{figure}"] = None if other is None else {"by": other.candidate.name, "sure": other.sure}
    return found


def _values(merit: Merit, prompts: Sequence[str], picture: Callable[[int], ImageArray]) -> Values:
    """Return the quality of each prompt's picture."""
    return np.array([merit.measure(prompt, index, picture(index)) for index, prompt in enumerate(prompts)])


def _candidates(
    specs: Sequence[SubjectSpec], options: CompareOptions, pictures: Pictures, timed: LatencyResult, merit: Merit
) -> list[Candidate]:
    weights = resampled(len(options.prompts))
    timings = {(t.label, t.steps, t.guidance_scale): t for t in timed.timings if t.part == PICTURE}
    memory = {footprint.label: footprint.peak.total for footprint in timed.footprints}
    values = {
        (spec.label, settings): _values(merit, options.prompts, partial(pictures, spec.label, settings))
        for spec in specs
        for settings in options.grid
    }
    return [
        Candidate(
            label=spec.label,
            steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            quality=merit.metric.present(
                bootstrap(mean(values[spec.label, settings]), weights),
            ),
            values=tuple(values[spec.label, settings].tolist()),
            higher_is_better=merit.metric.better == "higher",
            seconds=timings[spec.label, settings.steps, settings.guidance_scale].seconds,
            rounds=timings[spec.label, settings.steps, settings.guidance_scale].rounds,
            memory=memory[spec.label],
        )
        for spec in specs
        for settings in options.grid
    ]
