"""`amused-edge bench quality`: from bundles and prompts to a folder with pictures, results and report."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amused_edge.benchmarks.machine.environment import Environment, environment
from amused_edge.benchmarks.quality.draw import Drawn, check_alike, draw_subjects, read_pictures
from amused_edge.benchmarks.quality.metrics import (
    Instruments,
    Metric,
    Values,
    by_clip,
    by_judge,
    free_running,
    teacher_forced,
)
from amused_edge.benchmarks.quality.page import Measured, page
from amused_edge.benchmarks.quality.results import Figure, SetScores, figures, per_picture, set_scores
from amused_edge.benchmarks.quality.sources import Sources, read_folder, try_out
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.prompts import prompts_hash
from amused_edge.benchmarks.subjects.subject import SubjectSpec
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
        if self.settings.entropy_bound:
            raise OptionsError("bench quality compares logits step by step, and knows no entropy_bound; leave it out")


logger = logging.getLogger(__name__)

SMALLEST_SET = 10
"""Fewer pictures are no set: there is no KID and no FID of them."""


def bench_quality(
    specs: Sequence[SubjectSpec],
    options: QualityOptions,
    sources: Sources,
    out: Path,
    on_picture: OnStage | None = None,
) -> list[Figure]:
    """Compare subjects with the first, and write pictures, `results.json`, `pictures.csv`, `report.md`, `report.html`.

    An interrupted run goes on where it stopped when called again with the same arguments; what pictures are measured
    with may be another.

    Raises
    ------
    OptionsError
        The subjects are not alike, or prompts, judge or files do not fit; or `out` holds a run with other settings.
    OutputExistsError
        `out` holds something else, or a complete run.
    """
    real = None if sources.real is None else read_folder(sources.real)
    check_subjects(specs, options.prompts, sources)
    machine, prompts, reference = environment(), options.prompts, specs[0].label
    run = RunFolder(out, _settings_of_run(specs, options, machine))
    drawn = draw_subjects(specs, prompts, options.settings, options.seed, run, on_picture)
    images = {label: read_pictures(out, label, len(prompts)) for label in drawn}
    scores = _scores(prompts, drawn, images, reference, sources.tools)
    found = figures(scores, _sets(prompts, images, reference, sources, real), reference, len(prompts))
    truths = [] if sources.tools.judge is None else [sources.tools.judge.truth(prompt) for prompt in prompts]
    results = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": asdict(machine),
        **run.settings,
        "reference": reference,
        "measured_with_sha256": dict(sources.files),
        "figures": [asdict(figure) for figure in found],
    }
    measured = Measured(found, drawn, images, truths)
    document = page(specs, prompts, options.settings, options.seed, machine, measured)
    run.finish({"pictures.csv": _csv(per_picture(scores, prompts)), **report_files("quality", results, document)})
    return found


def check_subjects(specs: Sequence[SubjectSpec], prompts: Sequence[str], sources: Sources) -> None:
    """Raise `OptionsError` unless subjects are alike and what will be drawn can be measured."""
    geometry = check_alike(specs)
    size = geometry.image_height, geometry.image_width
    if sources.tools.judge is not None:
        sources.tools.judge.check(prompts, size)
    try_out(sources, *size)


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


def _scores(
    prompts: Sequence[str],
    drawn: Mapping[str, Sequence[Drawn]],
    images: Mapping[str, Sequence[ImageArray]],
    reference: str,
    tools: Instruments,
) -> dict[str, dict[Metric, Values]]:
    """Return label -> metric -> the values of all pictures."""
    scores = {}
    for label, pictures in images.items():
        own = {} if label == reference else free_running(drawn[label], images[reference], pictures, tools)
        given = {**by_judge(prompts, pictures, tools), **by_clip(prompts, pictures, tools)}
        scores[label] = {**teacher_forced(drawn[label]), **own, **given}
    return scores


def _csv(rows: Iterable[Sequence[object]]) -> str:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def _sets(
    prompts: Sequence[str],
    images: Mapping[str, Sequence[ImageArray]],
    reference: str,
    sources: Sources,
    real: Sequence[ImageArray] | None,
) -> dict[str, dict[str, SetScores]]:
    """Return the scores of all sets, by what they are compared with and label."""
    judge, embedder = sources.tools.judge, sources.embedder
    sets: dict[str, dict[str, SetScores]] = {}
    if len(prompts) < SMALLEST_SET:
        logger.info("%d pictures are no set: there is no KID and no FID below %d", len(prompts), SMALLEST_SET)
        return sets
    if judge is not None:
        truths = judge.features([judge.truth(prompt) for prompt in prompts])
        sets["truth"] = {n: set_scores(judge.features(pictures), truths, paired=True) for n, pictures in images.items()}
    if embedder is not None:
        features = {label: embedder(pictures) for label, pictures in images.items()}
        sets["reference"] = {
            n: set_scores(x, features[reference], paired=True) for n, x in features.items() if n != reference
        }
        if real is not None:
            others = embedder(real)
            sets["real"] = {label: set_scores(x, others, paired=False) for label, x in features.items()}
    return sets
