"""The report of a run of rivals."""

from collections.abc import Iterator, Mapping, Sequence

from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.report import cells, plots
from amused_edge.benchmarks.report.document import Block, Document, Flag, Plot, Section, Table, Text
from amused_edge.benchmarks.rivals import published
from amused_edge.benchmarks.rivals.measure import RivalsOptions
from amused_edge.benchmarks.rivals.models import FULL, TINY
from amused_edge.benchmarks.rivals.results import Row
from amused_edge.benchmarks.rivals.specs import DIFFUSERS, OPENVINO_8_BIT, OURS

DECODER_NAMES = {FULL: "full", TINY: "tiny", "": "its own"}


def page(
    rows: Sequence[Row], options: RivalsOptions, machine: Environment, failures: Mapping[str, str], threads: int | None
) -> Document:
    """Return the report."""
    threaded = "the engines' own threads" if threads is None else f"{threads} threads"
    lead = (
        f"{machine.line()} {threaded}, {options.rounds} rounds; in each, every network has a process of its own, in "
        "turns. All weights are random: nothing here tells how good a picture is, and rivals with few steps pay for "
        "them in quality. The text encoder is left out everywhere. A picture is a sum of parts: the steps' calls of "
        "the network and the decoder's, decoders taking one picture at a time; pictures that took less than "
        f"{options.whole_under:g} s were drawn whole, too. Ratios are to ours of the same size ({OURS}), the median of "
        "the rounds' ratios and their range: below 1 a rival is faster."
    )
    sections = []
    for side in dict.fromkeys(row.side for row in rows):
        here = sorted((row for row in rows if row.side == side), key=lambda row: row.figures[0].summary.median)
        sections.append(Section(f"{side} pixels, one picture", _one(here, side)))
        if len(options.batches) > 1:
            sections.append(Section(f"{side} pixels, several at once", _several(here, options.batches)))
    sections.append(Section("Sums of parts and whole pictures", [Text(_checked(rows))]))
    sections.append(Section("Beside what the authors published", _published(rows)))
    if failures:
        table = Table(("", "why"), [[label, Flag(reason)] for label, reason in failures.items()])
        sections.append(Section("Not measured", [table]))
    return Document("Rivals", lead, sections)


def name(row: Row) -> str:
    """Return what a row is, in a line."""
    decoder = "" if not row.decoder else f", {DECODER_NAMES[row.decoder]} decoder"
    return f"{row.use.label}, {row.engine}{decoder}"


def faster(rows: Sequence[Row], batch: int) -> list[Row]:
    """Return the rivals that are faster than ours with so many pictures at once, in every round, the fastest first."""
    found = []
    for row in rows:
        figure = row.figure(batch)
        if row.decoder and figure is not None and figure.ratio is not None and figure.ratio.high < 1:
            found.append((figure.ratio.estimate, row))
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def _one(rows: Sequence[Row], side: int) -> list[Block]:
    header = (
        *("", "engine", "decoder", "a picture", "ratio", "drawn whole", "calls", "rows", "a call", "decoder's call"),
        *("peak memory, MB", "drawn whole, MB"),
    )
    table = [
        [
            *(row.use.label, row.engine, DECODER_NAMES[row.decoder], cells.seconds(row.figures[0].summary)),
            *(cells.ratio(row.figures[0].ratio), "" if row.whole is None else f"{row.whole:.3g} s"),
            *(str(row.use.steps), str(row.use.branches), cells.seconds(row.call), cells.seconds(row.decoder_call)),
            *(cells.megabytes(row.figures[0].peak), cells.megabytes(row.whole_peak)),
        ]
        for row in rows
    ]
    bars = {name(row): (row.figures[0].summary.median, *row.figures[0].summary.spread) for row in rows}
    plot = Plot(f"pictures-{side}", plots.bars(bars, "seconds a picture"), "Seconds a picture, the sum of its parts")
    return [Table(header, table), Text(_winners(rows, 1)), plot]


def _winners(rows: Sequence[Row], batch: int) -> str:
    many = "one picture" if batch == 1 else f"{batch} pictures at once"
    won = [f"{name(row)}: {cells.ratio(figure.ratio)}" for row in faster(rows, batch) if (figure := row.figure(batch))]
    return f"Faster than ours with {many}, in every round, with the ratio of time: {'; '.join(won) or 'none'}."


def _several(rows: Sequence[Row], batches: Sequence[int]) -> list[Block]:
    header = (
        *("", "engine", "decoder"),
        *(f"{batch}: a picture" for batch in batches),
        *(f"{batch}: ratio" for batch in batches[1:]),
        *(f"{batch}: peak, MB" for batch in batches),
    )
    table = []
    for row in rows:
        figures = [row.figure(batch) for batch in batches]
        seconds = ["" if f is None else f"{f.summary.median / f.batch:.3g} s" for f in figures]
        ratios = ["" if f is None else cells.ratio(f.ratio) for f in figures[1:]]
        peaks = ["" if f is None else cells.megabytes(f.peak) for f in figures]
        table.append([row.use.label, row.engine, DECODER_NAMES[row.decoder], *seconds, *ratios, *peaks])
    note = "Ratios of one round; ours draws as many at once, too."
    return [Table(header, table, note=note), Text(_winners(rows, batches[-1]))]


def _checked(rows: Sequence[Row]) -> str:
    pairs = [row for row in rows if row.whole is not None]
    if not pairs:
        return "No picture was drawn whole."
    times = [row.figures[0].summary.median / (row.whole or 1) for row in pairs]
    peaks = [row.figures[0].peak / (row.whole_peak or 1) for row in pairs]
    return (
        f"{len(pairs)} of {len(rows)} rows were drawn whole, too, in processes of their own: the sum of parts is "
        f"{min(times):.2f} to {max(times):.2f} times that, its peak memory {min(peaks):.2f} to {max(peaks):.2f} times."
    )


def _published(rows: Sequence[Row]) -> list[Block]:
    """Ratios to aMUSEd of the same engine: how a model compares, whatever the machine."""
    text = Text(
        "An A100 in float16, seconds, the text encoder included. LCM was drawn there at its pipeline's own size, which "
        "is more than 512. Ratios are to aMUSEd-512; those of this machine to aMUSEd-512 in the same engine, with the "
        "full decoder at 512 pixels, one picture."
    )
    base = published.A100[1]
    table = []
    for each in published.A100:
        here = [_here(rows, each.label, engine) for engine in (DIFFUSERS, OPENVINO_8_BIT)]
        ratios = [f"{value / of:.2f}" for value, of in ((each.one, base.one), (each.eight, base.eight))]
        table.append([each.label, str(each.side), f"{each.one:.2f}", f"{each.eight:.2f}", *ratios, *here])
    header = (
        *("", "pixels", "A100: 1", "A100: 8", "ratio: 1", "ratio: 8"),
        *("here: diffusers, float32", "here: OpenVINO, 8-bit weights"),
    )
    return [text, Table(header, table)]


def _here(rows: Sequence[Row], label: str, engine: str) -> str:
    def median(found: Iterator[Row]) -> float | None:
        return next((row.figures[0].summary.median for row in found), None)

    at = [row for row in rows if row.engine == engine and row.decoder != TINY]
    base = median(row for row in at if row.side == 512 and not row.decoder)
    side = 256 if label.startswith("aMUSEd-256") else 512
    this = median(row for row in at if row.use.label == label and row.side == side)
    return "" if base is None or this is None else f"{this / base:.2f}"
