"""The report of results that were measured on several devices."""

from collections.abc import Iterator, Sequence

from amused_edge.benchmarks.device.results import DeviceResults, Measured
from amused_edge.benchmarks.latency.page import STAGES
from amused_edge.benchmarks.latency.results import FIRST, LOAD, PICTURE, Footprint, Timing
from amused_edge.benchmarks.report import cells, plots
from amused_edge.benchmarks.report.document import Block, Document, Flag, Plot, Section, Table, Text

Row = tuple[str, DeviceResults, Measured]
"""What stands in front of a row, where its figures are, and whose they are."""


def page(runs: Sequence[DeviceResults]) -> Document:
    """Return the report; each file's first settings, threads and batch are shown."""
    rows = [(f"{run.device.device}: {each.label}", run, each) for run in runs for each in run.subjects]
    lead = (
        "Each device was measured by itself, so rows of one device were measured in turns, and those of different ones "
        "at different times. Times are medians, in brackets the spread. A ratio is to the first row of its device."
    )
    sections = [
        Section("Whole pictures", [_pictures(rows), *_bars(rows)]),
        Section("Stages", [_stages(rows)]),
        Section("Memory", [_memory(rows)]),
    ]
    if any(run.golden for run in runs):
        sections.append(Section("Golden check", [_golden(runs)]))
    if any(run.quality for run in runs):
        sections.append(Section("Quality", [_quality(runs)]))
    if any(run.course for run in runs):
        sections.append(Section("Over time", _course(runs)))
    failures = [
        [run.device.device, failure.label, str(failure.threads or ""), str(failure.batch), Flag(failure.reason)]
        for run in runs
        for failure in run.result.failures
    ]
    if failures:
        sections.append(Section("Not measured", [Table(("", "bundle", "threads", "batch", "why"), failures)]))
    sections.append(Section("Devices", [Text(f"{run.device.line()} Measured {run.made}.") for run in runs]))
    return Document("Time and memory on devices", lead, sections)


def _pictures(rows: Sequence[Row]) -> Table:
    header = ("", "steps", "guidance", "threads", "pictures", "seconds", "ratio", "on disk, MB", "rounds")
    return Table(header, [[name, *_conditions(run), *_figures(run, each)] for name, run, each in rows])


def _conditions(run: DeviceResults) -> list[str]:
    settings = run.settings[0]
    threads = "the engine's" if run.threads[0] is None else str(run.threads[0])
    return [str(settings.steps), f"{settings.guidance_scale:g}", threads, str(run.batches[0])]


def _figures(run: DeviceResults, subject: Measured) -> list[str]:
    drawn = _picture(run, subject)
    time = [Flag("failed"), ""] if drawn is None else [cells.seconds(drawn.seconds), cells.ratio(drawn.ratio)]
    return [*time, cells.megabytes(subject.bytes or None), str(run.rounds)]


def _picture(run: DeviceResults, subject: Measured) -> Timing | None:
    settings = run.settings[0]
    return _timing(run, subject, PICTURE, False, settings.steps, settings.guidance_scale)


def _timing(
    run: DeviceResults, subject: Measured, part: str, cold: bool, steps: int | None, guidance: float | None
) -> Timing | None:
    wanted = (subject.label, run.threads[0], run.batches[0], part, cold, steps, guidance)
    for timing in run.result.timings:
        kind = (timing.label, timing.threads, timing.batch, timing.part, timing.cold)
        if (*kind, timing.steps, timing.guidance_scale) == wanted:
            return timing
    return None


def _bars(rows: Sequence[Row]) -> Iterator[Block]:
    found = [(name, run.batches[0], _picture(run, each)) for name, run, each in rows]
    bars = {
        name: (t.seconds.median / batch, t.seconds.spread[0] / batch, t.seconds.spread[1] / batch)
        for name, batch, t in found
        if t is not None
    }
    if bars:
        svg = plots.bars(bars, "seconds a picture")
        yield Plot("pictures", svg, "Seconds a picture, the median and its spread")


def _stages(rows: Sequence[Row]) -> Table:
    parts = [(LOAD, True), (LOAD, False), (FIRST, False), *((stage, False) for stage in STAGES)]
    header = ("", "load, cold", "warm", "first picture", *(stage.replace("_", " ") for stage in STAGES))
    lines = []
    for name, run, each in rows:
        found = (_timing(run, each, part, cold, None, None) for part, cold in parts)
        lines.append([name, *(cells.seconds(None if timing is None else timing.seconds) for timing in found)])
    return Table(header, lines, note="First picture: of two steps, right after loading.")


def _memory(rows: Sequence[Row]) -> Table:
    header = ("", "loaded, MB", "peak, MB", "of it anonymous", "file-backed")
    lines = []
    for name, run, each in rows:
        found = _footprint(run, each)
        figures = ["", "", "", ""]
        if found is not None:
            values = (found.loaded.total, found.peak.total, found.peak.anonymous, found.peak.file_backed)
            figures = [cells.megabytes(value) for value in values]
        lines.append([name, *figures])
    return Table(header, lines, note="1 MB is 10^6 bytes. Empty where a device does not tell.")


def _footprint(run: DeviceResults, subject: Measured) -> Footprint | None:
    wanted = (subject.label, run.threads[0], run.batches[0])
    return next((f for f in run.result.footprints if (f.label, f.threads, f.batch) == wanted), None)


def _golden(runs: Sequence[DeviceResults]) -> Table:
    header = ("", "reproduced", "ids", "logits off by", "equal tokens", "pixels off by, of 255")
    rows = [
        [
            f"{run.device.device}: {golden.label}",
            "yes" if golden.reproduced else Flag("no"),
            "equal" if golden.same_ids else Flag("others"),
            cells.number(golden.logit_error, 0, exponent=True),
            f"{golden.equal_tokens:.1%}",
            str(golden.pixel_error),
        ]
        for run in runs
        for golden in run.golden
    ]
    return Table(header, rows, note="Logits are relative to the largest; tokens after the first other one may differ.")


def _quality(runs: Sequence[DeviceResults]) -> Table:
    header = ("", "mean KL, nats", "top-1 agreement", "equal draws", "rows", "tokens of the reference's picture")
    rows = [
        [
            f"{run.device.device}: {each.label}",
            cells.number(each.mean_kl, 0, exponent=True),
            f"{each.top1:.1%}",
            f"{each.equal_draws:.1%}",
            str(each.rows),
            f"{each.equal_tokens:.1%}",
        ]
        for run in runs
        for each in run.quality
    ]
    return Table(header, rows, note="The device's own logits, against the reference's on the same states.")


def _course(runs: Sequence[DeviceResults]) -> list[Block]:
    header = ("", "pictures", "seconds, first", "last", "minutes", "heat, first", "last")
    rows = []
    for run in runs:
        for subject in run.subjects:
            drawn = [each for each in run.course if each.label == subject.label]
            if drawn:
                first, last = drawn[0], drawn[-1]
                minutes = (last.at + last.seconds - first.at) / 60
                figures = (f"{first.seconds:.3g}", f"{last.seconds:.3g}", f"{minutes:.1f}")
                heat = (_heat(first.thermal, first.celsius), _heat(last.thermal, last.celsius))
                rows.append([f"{run.device.device}: {subject.label}", str(len(drawn)), *figures, *heat])
    return [Table(header, rows, note="Heat is what the device itself says. Every picture stands in results.json.")]


def _heat(thermal: str, celsius: float | None) -> str:
    return ", ".join(part for part in (thermal, "" if celsius is None else f"{celsius:.1f} °C") if part)
