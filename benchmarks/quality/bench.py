"""`amused-edge bench quality`: from bundles and prompts to a folder with pictures, results and report."""

import csv
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amused_edge.benchmarks.cluster.crew import Crew
from amused_edge.benchmarks.machine.environment import Environment, environment
from amused_edge.benchmarks.quality.draw import check_alike, draw_subjects, read_picture
from amused_edge.benchmarks.quality.measure import MeasuredRun
from amused_edge.benchmarks.quality.metrics import SQUARED_ERROR, Metric, Values
from amused_edge.benchmarks.quality.page import Shown, page
from amused_edge.benchmarks.quality.results import Figure, SetScores, figures, per_picture, set_scores
from amused_edge.benchmarks.quality.sources import Sources, picture_files, try_out
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.prompts import prompts_hash
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.pictures import ImageArray
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.stages import OnStage


@dataclass(frozen=True)
class QualityOptions:
    """What is drawn.

    Attributes
    ----------
    prompts
        One picture each.
    settings, seed
        Of every picture.
    """

    prompts: tuple[str, ...]
    settings: SamplerSettings
    seed: int = 0

    def __post_init__(self) -> None:
        GenerationOptions(seed=self.seed)
        if not self.prompts:
            raise OptionsError("there is no prompt; give at least one")
        for name in ("entropy_bound", "row_cache"):
            if getattr(self.settings, name):
                raise OptionsError(f"bench quality compares logits step by step, and knows no {name}; leave it out")


logger = logging.getLogger(__name__)

SMALLEST_SET = 10
"""Fewer pictures are no set: there is no KID and no FID of them."""


def bench_quality(
    specs: Sequence[SubjectSpec],
    options: QualityOptions,
    sources: Sources,
    out: Path,
    on_picture: OnStage | None = None,
    crew: Crew | None = None,
) -> list[Figure]:
    """Compare subjects with the first, and write pictures, `results.json`, `pictures.csv`, `report.md`, `report.html`.

    An interrupted run goes on where it stopped when called again with the same arguments; what pictures are measured
    with may be another. Figures do not depend on the `crew` that draws and measures (None: this process): it does so
    prompt by prompt, and what comes of it is reduced here, in the order of prompts, from the folder.

    Raises
    ------
    OptionsError
        The subjects are not alike, or prompts, judge or files do not fit; or `out` holds a run with other settings.
    OutputExistsError
        `out` holds something else, or a complete run.
    """
    real = None if sources.real is None else picture_files(sources.real)
    check_subjects(specs, options.prompts, sources)
    machine, prompts, reference = environment(), options.prompts, specs[0].label
    run = RunFolder(out, _settings_of_run(specs, options, machine))
    draw_subjects(specs, prompts, options.settings, options.seed, run, on_picture, crew)
    labels = [spec.label for spec in specs]
    measured = MeasuredRun(run, labels, prompts, sources)
    measured.measure(on_picture, crew)
    values = measured.values()
    found = figures(values, _sets(measured, labels, len(prompts), sources, real), reference, len(prompts))
    results = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": asdict(machine),
        **run.settings,
        "reference": reference,
        "measured_with_sha256": dict(sources.files),
        "figures": [asdict(figure) for figure in found],
    }
    shown = Shown(found, measured.diverging(), partial(read_picture, out), _truth(prompts, sources), _errors(values))
    document = page(specs, prompts, options.settings, options.seed, machine, shown)
    run.finish({"pictures.csv": _csv(per_picture(values, prompts)), **report_files("quality", results, document)})
    return found


def _truth(prompts: Sequence[str], sources: Sources) -> Callable[[int], ImageArray] | None:
    """Return what gives a prompt's true picture, if there is a judge."""
    judge = sources.tools.judge
    return None if judge is None else lambda index: judge.truth(prompts[index])


def _errors(values: Mapping[str, Mapping[Metric, Values]]) -> Values:
    """Return the squared error (n,) of each prompt's picture that is farthest from the reference's."""
    each = [metrics[SQUARED_ERROR] for metrics in values.values() if SQUARED_ERROR in metrics]
    return np.max(each, axis=0) if each else np.zeros(0)


def check_subjects(specs: Sequence[SubjectSpec], prompts: Sequence[str], sources: Sources) -> Geometry:
    """Return the sizes of all; raises `OptionsError` unless they are alike and what will be drawn can be measured."""
    geometry = check_alike(specs)
    size = geometry.image_height, geometry.image_width
    if sources.tools.judge is not None:
        sources.tools.judge.check(prompts, size)
    try_out(sources, *size)
    return geometry


def _settings_of_run(specs: Sequence[SubjectSpec], options: QualityOptions, machine: Environment) -> dict[str, Any]:
    """Return everything that pictures depend on, for `RunFolder`."""
    return {
        "command": "quality",
        "subjects": [spec.identity() for spec in specs],
        "prompts_sha256": prompts_hash(options.prompts),
        "prompts": len(options.prompts),
        "settings": options.settings.to_dict(),
        "seed": options.seed,
        "packages": {name: machine.packages.get(name) for name in ("amused-edge", "onnxruntime", "numpy")},
        "cpu": machine.cpu,
        "flags": list(machine.flags),
    }


def _csv(rows: Iterable[Sequence[object]]) -> str:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def _sets(
    measured: MeasuredRun, labels: Sequence[str], count: int, sources: Sources, real: Sequence[Path] | None
) -> dict[str, dict[str, SetScores]]:
    """Return the scores of all sets, by what they are compared with and label."""
    embedder = sources.embedder
    sets: dict[str, dict[str, SetScores]] = {}
    if count < SMALLEST_SET:
        logger.info("%d pictures are no set: there is no KID and no FID below %d", count, SMALLEST_SET)
        return sets
    if sources.tools.judge is not None:
        truths = measured.truths()
        sets["truth"] = {label: set_scores(measured.features("judge", label), truths, paired=True) for label in labels}
    if embedder is not None:
        features = {label: measured.features("embedder", label) for label in labels}
        reference, *others = labels
        sets["reference"] = {n: set_scores(features[n], features[reference], paired=True) for n in others}
        if real is not None:
            them = measured.real(real, embedder)
            sets["real"] = {label: set_scores(x, them, paired=False) for label, x in features.items()}
    return sets
