"""The report of a comparison."""

from collections.abc import Sequence

from amused_edge.benchmarks.compare.merit import Merit
from amused_edge.benchmarks.compare.pareto import Candidate, dominator
from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.report import cells, plots
from amused_edge.benchmarks.report.document import Block, Document, Plot, Section, Table, Text

_COSTS = {"seconds": "seconds a picture", "memory": "peak memory, MB"}


def page(candidates: Sequence[Candidate], merit: Merit, count: int, rounds: int, machine: Environment) -> Document:
    """Return the report."""
    turns = f"{rounds} round{'' if rounds == 1 else 's'}"
    lead = (
        f"{count} prompts, the same random numbers for all; every bundle timed in {turns}, in turns, in a process of "
        f"its own. {merit.about} In brackets: 95 % bootstrap intervals over prompts, and 10th to 90th percentile of "
        f"times. {machine.line()}"
    )
    about = (
        "A choice is dominated where another costs no more and is no worse, and better in one of the two. 'Perhaps' "
        "stands where neither the paired difference in quality nor that in cost is beyond the noise. Memory is the "
        "bundle's peak over all settings."
    )
    plotted: list[Block] = [Text(about)]
    for figure, axis in _COSTS.items():
        svg = plots.scatter(_points(candidates, figure), axis, merit.metric.title)
        plotted.append(Plot(figure, svg, f"{merit.metric.title} against {axis}; hollow: dominated"))
    return Document(
        "Quality against time and memory",
        lead,
        [
            Section("What nothing else beats", plotted),
            Section("All of them, the fastest first", [_table(candidates, merit)]),
        ],
    )


def _points(candidates: Sequence[Candidate], figure: str) -> list[plots.Point]:
    scale = 1.0 if figure == "seconds" else 1e-6
    return [
        plots.Point(
            series=c.label,
            text=f"{c.steps}, {c.guidance_scale:g}",
            x=scale * c.cost(figure),
            y=c.quality.estimate,
            low=c.quality.low,
            high=c.quality.high,
            dominated=(by := dominator(c, candidates, figure)) is not None and by.sure,
        )
        for c in candidates
    ]


def _table(candidates: Sequence[Candidate], merit: Merit) -> Table:
    rows = []
    for c in sorted(candidates, key=lambda c: c.seconds.median):
        beaten = [dominator(c, candidates, figure) for figure in _COSTS]
        rows.append(
            [
                *(c.label, str(c.steps), f"{c.guidance_scale:g}", cells.interval(c.quality, merit.metric.digits)),
                *(cells.seconds(c.seconds), cells.megabytes(c.memory)),
                *("" if by is None else f"{'' if by.sure else 'perhaps '}{by.candidate.name}" for by in beaten),
            ]
        )
    header = ("", "steps", "guidance", merit.metric.title, "a picture", "peak memory, MB")
    return Table((*header, "dominated in time by", "dominated in memory by"), rows)
