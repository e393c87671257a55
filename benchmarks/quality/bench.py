"""`amused-edge bench quality`: from bundles and prompts to a folder with pictures, results and report."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from amused_edge.benchmarks.machine.environment import environment
from amused_edge.benchmarks.quality.draw import check_alike, draw_subjects, read_pictures
from amused_edge.benchmarks.quality.metrics import (
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
    machine = environment()
    settings = {
        "command": "quality",
        "subjects": [spec.identity() for spec in specs],
        "prompts_sha256": prompts_hash(options.prompts),
        "prompts": len(options.prompts),
        "settings": asdict(options.settings),
        "seed": options.seed,
        "packages": {name: machine.packages.get(name) for name in ("amused-edge", "onnxruntime", "numpy")},
        "cpu": machine.cpu,
        "flags": list(machine.flags),
    }
    run = RunFolder(out, settings)
    drawn = draw_subjects(specs, options.prompts, options.settings, options.seed, run, on_picture)
    images = {label: read_pictures(out, label, len(options.prompts)) for label in drawn}
    reference = specs[0].label
    scores: dict[str, dict[Metric, Values]] = {}
    for label, pictures in images.items():
        own = {} if label == reference else free_running(drawn[label], images[reference], pictures, sources.tools)
        scores[label] = {
            **teacher_forced(drawn[label]),
            **own,
            **by_judge(options.prompts, pictures, sources.tools),
            **by_clip(options.prompts, pictures, sources.tools),
        }
    found = figures(scores, _sets(options.prompts, images, reference, sources, real), reference, len(options.prompts))
    truths = [] if sources.tools.judge is None else [sources.tools.judge.truth(prompt) for prompt in options.prompts]
    results = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": asdict(machine),
        **run.settings,
        "reference": reference,
        "measured_with_sha256": dict(sources.files),
        "figures": [asdict(figure) for figure in found],
    }
    document = page(
        specs,
        options.prompts,
        options.settings,
        options.seed,
        machine,
        Measured(found, drawn, images, truths),
    )
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(per_picture(scores, options.prompts))
    run.finish({"pictures.csv": table.getvalue(), **report_files("quality", results, document)})
    return found


def check_subjects(specs: Sequence[SubjectSpec], prompts: Sequence[str], sources: Sources) -> None:
    """Raise `OptionsError` unless subjects are alike and what will be drawn can be measured."""
    geometry = check_alike(specs)
    size = geometry.image_height, geometry.image_width
    if sources.tools.judge is not None:
        sources.tools.judge.check(prompts, size)
    try_out(sources, *size)


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
