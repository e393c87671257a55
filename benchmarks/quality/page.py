"""The report of a quality run."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.metrics.statistics import RESAMPLES
from amused_edge.benchmarks.quality import metrics as m
from amused_edge.benchmarks.quality.results import Figure, fid_metric, kid_metric
from amused_edge.benchmarks.report import cells, plots
from amused_edge.benchmarks.report.document import Block, Document, Photo, Plot, Section, Table, Text
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.pictures import ImageArray, contact_sheet
from amused_edge.runtime.sampling.options import SamplerSettings

SHEET_WIDTH = 1024
"""Of a grid, in pixels, at most; pictures are enlarged to about an eighth of it."""

SETS = {
    "truth": "the true pictures of the prompts, in the judge's features",
    "reference": "the reference's pictures, in the features of the embedder that was given",
    "real": "the real pictures that were given, in the features of the embedder that was given",
}


@dataclass(frozen=True)
class Shown:
    """What a report shows of a quality run.

    Attributes
    ----------
    figures
        All figures.
    diverging
        Label -> the first diverging step of those pictures that went another way.
    image
        Gives the picture of a label and a prompt's number.
    truth
        Gives the judge's picture of a prompt's number; None without a judge.
    errors
        Squared error of each prompt's picture that is farthest from the reference's; empty if there are none.
    """

    figures: Sequence[Figure]
    diverging: Mapping[str, Sequence[int]]
    image: Callable[[str, int], ImageArray]
    truth: Callable[[int], ImageArray] | None
    errors: NDArray[np.float64]


def page(
    specs: Sequence[SubjectSpec],
    prompts: Sequence[str],
    settings: SamplerSettings,
    seed: int,
    machine: Environment,
    shown: Shown,
) -> Document:
    """Return the report; the first spec is the reference."""
    reference = specs[0].label
    lead = (
        f"{len(prompts)} prompts, one picture each, seed {seed}, {settings.steps} steps, guidance "
        f"{settings.guidance_scale:g}; the reference is {reference}, and all draw with the same random numbers. In "
        f"brackets: 95 % bootstrap intervals over prompts ({RESAMPLES} resamples, the same for all). A difference "
        f"whose interval holds 0 is called none. {machine.line()}"
    )
    simulated = [spec.label for spec in specs if spec.arguments.get("engine", {}).get("simulate")]
    if simulated:
        lead += f" Simulated by the NumPy evaluator, not run by Core ML: {', '.join(simulated)}."
    table = _Figures(shown.figures)
    others = [spec.label for spec in specs[1:]]
    labels = [reference, *others]
    sections = [Section("At a glance", _overview(specs, table))]
    if others:
        sections.append(Section("Logits, on the reference's path", _teacher_forced(others, table)))
        sections.append(Section("Pictures, each bundle on its own path", _free_running(others, table, shown)))
    if shown.truth is not None:
        sections.append(Section("Against the true pictures", _truth(labels, table)))
    for name, meaning in SETS.items():
        if table.has(kid_metric(name)):
            sections.append(Section(f"Sets: against {meaning}", _sets(labels, table, name)))
    if table.has(m.CLIP):
        sections.append(Section("CLIP score", [_with_differences(labels, table, (m.CLIP,))]))
    sections.append(Section("The pictures", _grids(labels, prompts, shown)))
    return Document("Quality", lead, sections)


class _Figures:
    """Figures by label and metric, as cells."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self._figures = {(figure.label, figure.metric): figure for figure in figures}

    def has(self, metric: m.Metric) -> bool:
        return any(name == metric.name for _, name in self._figures)

    def get(self, label: str, metric: m.Metric) -> Figure | None:
        return self._figures.get((label, metric.name))

    def value(self, label: str, metric: m.Metric) -> str:
        """Return "value (low to high)"."""
        figure = self.get(label, metric)
        return "" if figure is None else cells.interval(figure.value, metric.digits, metric.exponent)

    def estimate(self, label: str, metric: m.Metric) -> str:
        figure = self.get(label, metric)
        return "" if figure is None else cells.number(figure.value.estimate, metric.digits, metric.exponent)

    def change(self, label: str, metric: m.Metric) -> str:
        figure = self.get(label, metric)
        against = None if figure is None else figure.against_reference
        return "" if against is None else cells.difference(against, metric.digits)


def _overview(specs: Sequence[SubjectSpec], table: _Figures) -> list[Block]:
    kl, draws = m.TEACHER_FORCED[0], m.TEACHER_FORCED[4]
    chosen = [kl, draws, m.FREE_RUNNING[0], m.FREE_RUNNING[3]]
    header = ["", "MB", "mean KL, nats", "equal draws, %", "equal tokens, %", "SSIM to the reference"]
    judged = table.has(m.TRUTH[0])
    if judged:
        header += ["PSNR to the truth, dB", "difference", "concept / style / background, %"]
    rows = []
    for spec in specs:
        row = [spec.label, cells.megabytes(spec.bytes), *(table.estimate(spec.label, metric) for metric in chosen)]
        if judged:
            answers = " / ".join(table.estimate(spec.label, metric) for metric in m.ANSWERS)
            row += [table.estimate(spec.label, m.TRUTH[0]), table.change(spec.label, m.TRUTH[0]), answers]
        rows.append(row)
    blocks: list[Block] = [Table(header, rows, note="MB: what text to image reads from the disk, 10^6 bytes.")]
    for name, metric, title in (
        ("kl", kl, "mean KL to the reference, nats"),
        ("truth", m.TRUTH[0], "PSNR to the truth, dB"),
    ):
        found = {spec.label: figure.value for spec in specs if (figure := table.get(spec.label, metric)) is not None}
        if found:
            bars = {label: (value.estimate, value.low, value.high) for label, value in found.items()}
            blocks.append(Plot(name, plots.bars(bars, title), f"{title}, with its interval"))
    return blocks


def _teacher_forced(labels: Sequence[str], table: _Figures) -> list[Block]:
    about = (
        "The reference draws; at each of its steps every bundle is asked about the same tokens, and masked rows are "
        "compared. Equal draws: the same noise picks the same token. The mean over all masked rows of a picture "
        "(rank correlation: over its steps), then over pictures."
    )
    return [Text(about), _values(labels, table, m.TEACHER_FORCED)]


def _free_running(labels: Sequence[str], table: _Figures, shown: Shown) -> list[Block]:
    about = (
        "Every bundle draws by itself. One token drawn otherwise sends the picture another way, so that these figures "
        "mostly tell how early that happened, not how good the picture is. PSNR is of the mean squared error over "
        "all pictures."
    )
    metrics = [metric for metric in (*m.FREE_RUNNING, m.REFERENCE_LPIPS) if table.has(metric)]
    rows = []
    for label in labels:
        steps = shown.diverging[label]
        first = f"{np.median(steps):g}" if steps else "never"
        rows.append([label, *(table.value(label, metric) for metric in metrics), first])
    header = ("", *(metric.title for metric in metrics), "first diverging step, median of those that diverge")
    return [Text(about), Table(header, rows)]


def _truth(labels: Sequence[str], table: _Figures) -> list[Block]:
    about = (
        "The sensitive figures: how near each picture is to the one that the prompt was trained on, and whether it "
        "shows what was asked for. PSNR is the mean over pictures."
    )
    distances = [metric for metric in (*m.TRUTH, m.TRUTH_LPIPS) if table.has(metric)]
    return [Text(about), _with_differences(labels, table, distances), _with_differences(labels, table, m.ANSWERS)]


def _sets(labels: Sequence[str], table: _Figures, name: str) -> list[Block]:
    kid, fid = kid_metric(name), fid_metric(name)
    rows = [[x, table.value(x, kid), table.change(x, kid), table.estimate(x, fid)] for x in labels]
    header = ("", kid.title, "difference", "FID (no interval: biased in resamples)")
    return [Table(header, rows)]


def _values(labels: Sequence[str], table: _Figures, metrics: Sequence[m.Metric]) -> Table:
    rows = [[label, *(table.value(label, metric) for metric in metrics)] for label in labels]
    return Table(("", *(metric.title for metric in metrics)), rows)


def _with_differences(labels: Sequence[str], table: _Figures, metrics: Sequence[m.Metric]) -> Table:
    rows = [
        [x, *(cell for metric in metrics for cell in (table.value(x, metric), table.change(x, metric)))] for x in labels
    ]
    return Table(("", *(title for metric in metrics for title in (metric.title, "difference"))), rows)


def _grids(labels: Sequence[str], prompts: Sequence[str], shown: Shown) -> list[Block]:
    count = len(prompts)
    columns = max(2, min(8, SHEET_WIDTH // shown.image(labels[0], 0).shape[1]))
    spread = sorted({round(place) for place in np.linspace(0, count - 1, min(columns, count))})
    rows = ", ".join(labels if shown.truth is None else [*labels, "the true picture"])
    blocks: list[Block] = [
        Photo("pictures", _grid(labels, spread, shown), f"From top to bottom: {rows}. {_named(spread, prompts)}")
    ]
    farthest = np.argsort(-shown.errors, kind="stable")[:columns]
    worst = [int(place) for place in farthest if shown.errors[place] > 0]
    if worst:
        caption = f"Where a bundle is farthest from the reference; rows as above. {_named(worst, prompts)}"
        blocks.append(Photo("farthest", _grid(labels, worst, shown), caption))
    return blocks


def _named(places: Sequence[int], prompts: Sequence[str]) -> str:
    return "From left to right: " + "; ".join(prompts[place] for place in places) + "."


def _grid(labels: Sequence[str], places: Sequence[int], shown: Shown) -> bytes:
    images = [shown.image(label, place) for label in labels for place in places]
    if shown.truth is not None:
        images += [shown.truth(place) for place in places]
    scale = max(1, SHEET_WIDTH // 8 // images[0].shape[1])
    file = io.BytesIO()
    Image.fromarray(contact_sheet(images, len(places), scale)).save(file, format="PNG", optimize=True)
    return file.getvalue()
