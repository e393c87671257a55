"""The report of a latency run."""

from collections.abc import Iterator, Mapping, Sequence

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.execution.peaks import INPUTS, OUTPUTS, ROWS
from amused_edge.benchmarks.latency.measure import LatencyOptions
from amused_edge.benchmarks.latency.results import FIRST, LOAD, PICTURE, READY, Footprint, LatencyResult, Timing
from amused_edge.benchmarks.latency.shares import Share
from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.machine.memory import INTERVAL
from amused_edge.benchmarks.metrics.statistics import ENOUGH, certainty
from amused_edge.benchmarks.report import cells, plots
from amused_edge.benchmarks.report.document import Block, Document, Flag, Plot, Section, Table, Text
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import quoted

STAGES = ("text_encoder", "conditioner", "denoiser", "sampler", "image_decoder")
OPERATORS = 8
"""Kinds of operators that the page shows of each stage."""

Audits = Mapping[str, Mapping[str, Audit]]


def page(
    specs: Sequence[SubjectSpec],
    options: LatencyOptions,
    machine: Environment,
    result: LatencyResult,
    audits: Audits,
    near: Sequence[Share],
) -> Document:
    """Return the report."""
    settings = options.settings[0]
    rounds = f"{options.rounds} round{'' if options.rounds == 1 else 's'}"
    sure = certainty(options.rounds)
    none = "; 'none' where it holds 1" if sure >= cells.VERDICT else ": too few to tell a difference from none"
    lead = (
        f"{machine.line()} Prompt {quoted(options.prompt)}, seed {options.seed}, {rounds}; in each, every row has a "
        "process "
        "of its own, in turns. Times are medians, in brackets the 10th to 90th percentile, or the least and the most "
        f"of less than {ENOUGH} values. Ratios are to {specs[0].label}: the median of the rounds' ratios and their "
        f"range, which holds the true median with {sure:.0%}{none}. Fewer rounds of a row are less sure."
    )
    many = "" if options.batches[0] == 1 else f"{options.batches[0]} at once, "
    first = f"{many}{settings.steps} steps, guidance {settings.guidance_scale:g}, {_engine(options.threads[0])}"
    sections = [
        Section(f"Whole pictures: {first}", _overview(specs, options, result, audits)),
        Section("Stages", _stages(specs, options, result)),
    ]
    if max(len(options.settings), len(options.threads), len(options.batches)) > 1:
        sections.append(Section("Steps, guidance, threads, batches", [_pictures(result)]))
    if near:
        sections.append(Section("Share of the limit", _shares(near)))
    sections.append(Section("Memory", [_memory(result)]))
    sections.append(Section("What the operators ran in", _operators(audits)))
    if result.failures:
        rows = [[f.label, str(f.threads or ""), str(f.batch), Flag(f.reason)] for f in result.failures]
        sections.append(Section("Not measured", [Table(("", "threads", "batch", "why"), rows)]))
    return Document("Time and memory", lead, sections)


def _overview(
    specs: Sequence[SubjectSpec], options: LatencyOptions, result: LatencyResult, audits: Audits
) -> list[Block]:
    threads, batch, settings = options.threads[0], options.batches[0], options.settings[0]
    footprints = {f.label: f for f in result.footprints if (f.threads, f.batch) == (threads, batch)}
    key = (threads, batch, PICTURE, False, settings.steps, settings.guidance_scale)
    pictures = {t.label: t for t in result.timings if _part(t) == key}
    rows = [
        [
            spec.label,
            *_whole_picture(pictures.get(spec.label)),
            _denoiser_call(result, spec, options),
            cells.megabytes(spec.bytes),
            *_peak(footprints.get(spec.label)),
            cells.ran_in(
                Audit.of_picture(audits.get(spec.label, {}), settings.steps, settings.branches),
                spec.label,
                spec.facts.get("recipe", ""),
            ),
        ]
        for spec in specs
    ]
    header = (
        *("", "picture" if batch == 1 else f"{batch} pictures", "ratio", f"denoiser, {settings.branches * batch} rows"),
        *("on disk, MB", "peak memory, MB", "of it anonymous", "file-backed", "products ran in, by time"),
    )
    note = "On disk: the files that were loaded. 1 MB is 10^6 bytes. Products: matrix products and convolutions."
    return [Table(header, rows, note=note), *_time_bars(pictures, batch), *_memory_bars(footprints)]


def _whole_picture(timing: Timing | None) -> list[str]:
    if timing is None:
        return [Flag("failed"), ""]
    return [cells.seconds(timing.seconds), cells.ratio(timing.ratio)]


def _peak(footprint: Footprint | None) -> Sequence[str]:
    return ("", "", "") if footprint is None else _memory_cells(footprint)[:3]


def _time_bars(pictures: Mapping[str, Timing], batch: int) -> Iterator[Block]:
    if pictures:
        bars = {
            n: (t.seconds.median / batch, t.seconds.spread[0] / batch, t.seconds.spread[1] / batch)
            for n, t in pictures.items()
        }
        svg = plots.bars(bars, "seconds a picture")
        yield Plot("pictures", svg, "Seconds a picture, the median and its spread")


def _memory_bars(footprints: Mapping[str, Footprint]) -> Iterator[Block]:
    parts = {n: f.peak for n, f in footprints.items() if f.peak.anonymous is not None}
    if parts:
        stacked = {n: ((p.anonymous or 0) / 1e6, (p.file_backed or 0) / 1e6) for n, p in parts.items()}
        svg = plots.stacked(stacked, ("anonymous", "file-backed"), "peak memory, MB")
        yield Plot("memory", svg, "Peak memory while loading and drawing, MB")


def _denoiser_call(result: LatencyResult, spec: SubjectSpec, options: LatencyOptions) -> str:
    part = (options.threads[0], options.batches[0], "denoiser", False, None, None)
    return next((cells.seconds(t.seconds) for t in result.timings if t.label == spec.label and _part(t) == part), "")


def _stages(specs: Sequence[SubjectSpec], options: LatencyOptions, result: LatencyResult) -> list[Block]:
    """Return a table for each number of threads and batch."""
    loads = [(READY, True), (READY, False), (LOAD, True), (LOAD, False), (FIRST, False)]
    columns = [*loads, *((stage, False) for stage in STAGES)]
    titles = (
        "",
        "process to ready, cold",
        "warm",
        "load, cold",
        "warm",
        "first picture",
        *(stage.replace("_", " ") for stage in STAGES),
    )
    found = {(t.label, t.threads, t.batch, t.part, t.cold): t.seconds for t in result.timings if t.part != PICTURE}
    blocks: list[Block] = [
        Text(
            "Cold: the system's page cache was emptied of the files first, and the disk was seen to be read; nothing "
            "stands there where it could not be; a host's own cache below a virtual disk is out of sight. First "
            "picture: of two steps, right after loading. Denoiser: one call, with guidance of both branches. Sampler: "
            "all that NumPy does in a step with every token masked."
        )
    ]
    for threads in options.threads:
        for batch in options.batches:
            rows = [
                [s.label, *(cells.seconds(found.get((s.label, threads, batch, part, cold))) for part, cold in columns)]
                for s in specs
            ]
            more = len(options.threads) * len(options.batches) > 1
            title = f"{_engine(threads)}, batch {batch}" if more else ""
            blocks.append(Table(titles, rows, title))
    return blocks


def _pictures(result: LatencyResult) -> Table:
    rows = [
        [
            *(t.label, _engine(t.threads), str(t.batch), str(t.steps), f"{t.guidance_scale:g}"),
            *(cells.seconds(t.seconds), f"{t.seconds.median / t.batch:.3g} s", cells.ratio(t.ratio)),
        ]
        for t in result.timings
        if t.part == PICTURE
    ]
    return Table(("", "threads", "batch", "steps", "guidance", "time", "a picture", "ratio"), rows)


def _shares(near: Sequence[Share]) -> list[Block]:
    text = Text(
        "The limit is the time that a graph's products would take at the speed of the engine's own product of "
        f"{ROWS} x {INPUTS} x {OUTPUTS}, in 8 bits and in float32, measured in the same process right before and after "
        "the graph's calls, if all else took no time."
    )
    rows = [
        [
            *(s.label, _engine(s.threads), str(s.batch), s.stage.replace("_", " ")),
            *(f"{s.peaks[precision] / 1e9:.0f}" for precision in ("int8", "float32")),
            cells.seconds(s.least),
            f"{s.share.median:.0%} ({s.share.spread[0]:.0%}-{s.share.spread[1]:.0%})",
        ]
        for s in near
    ]
    header = (
        "",
        "threads",
        "batch",
        "graph",
        "8-bit peak, 10^9/s",
        "float32 peak, 10^9/s",
        "limit",
        "share of the limit",
    )
    return [text, Table(header, rows)]


def _memory(result: LatencyResult) -> Table:
    header = (
        *("", "threads", "batch", "peak, MB", "anonymous", "file-backed"),
        *("when loaded, MB", "anonymous", "file-backed"),
    )
    rows = [[f.label, _engine(f.threads), str(f.batch), *_memory_cells(f)] for f in result.footprints]
    note = (
        "Of each figure the largest, so that parts may add up to more. Peaks of the parts are seen from outside, every "
        f"{1000 * INTERVAL:.0f} ms; the total is the system's high-water mark where it has one."
    )
    return Table(header, rows, note=note)


def _memory_cells(footprint: Footprint) -> list[str]:
    return [
        cells.megabytes(value)
        for memory in (footprint.peak, footprint.loaded)
        for value in (memory.total, memory.anonymous, memory.file_backed)
    ]


def _operators(audits: Audits) -> list[Block]:
    blocks: list[Block] = [
        Text("From the engine's profile of calls that are not timed otherwise; the slowest kinds of each graph.")
    ]
    for label, stages in audits.items():
        rows = []
        for stage, audit in stages.items():
            total = sum(operator.seconds for operator in audit.operators)
            rows += [
                [
                    stage,
                    o.name,
                    o.precision,
                    str(o.nodes),
                    f"{1e3 * o.seconds:.3g}",
                    f"{o.seconds / total if total else 0:.1%}",
                ]
                for o in audit.operators[:OPERATORS]
            ]
        if rows:
            blocks.append(Table(("graph", "operator", "ran in", "nodes", "ms a call", "of the graph"), rows, label))
    return blocks


def _part(t: Timing) -> tuple[object, ...]:
    return t.threads, t.batch, t.part, t.cold, t.steps, t.guidance_scale


def _engine(threads: int | None) -> str:
    return "the engine's own threads" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}"
