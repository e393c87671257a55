"""The report of a search."""

from collections.abc import Sequence

from amused_edge.benchmarks.compare.tried import Found, Tried
from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.report import cells
from amused_edge.benchmarks.report.document import Document, Section, Table, Text


def page(label: str, found: Found, machine: Environment) -> Document:
    """Return the report."""
    lead = (
        f"{label}: settings that lose {found.loss:g} at most in {found.metric.title} against {found.baseline.name}, at "
        "the lower end of the paired difference's 95 % bootstrap interval. Calls and rows are the denoiser's for a "
        f"picture. {found.about} {machine.line()}"
    )
    how = (
        "A setting is left out once it is surely below the floor, or takes more work than another that is surely "
        f"above it. The {found.baseline.prompts} prompts that check had no part in the choice."
    )
    sections = [
        Section("What was found", [Text(how), Text(_said(found)), _table(found.checked, found)]),
        Section("What was tried, the least work first", [_table(_by_work(found.tried), found)]),
    ]
    return Document("The least work for a floor of quality", lead, sections)


def _said(found: Found) -> str:
    if found.chosen is found.baseline:
        return "Nothing that takes less work than the baseline was confirmed."
    share = found.chosen.rows / found.baseline.rows
    said = f"{found.chosen.name}: {share:.2f} of the baseline's denoiser rows"
    return f"{said}." if found.seconds is None else f"{said}, {cells.ratio(found.seconds['ratio'])} of its time."


def _by_work(tried: Sequence[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda each: each.rows)


def _table(tried: Sequence[Tried], found: Found) -> Table:
    digits = found.metric.digits
    rows = [
        [
            *(each.name, str(each.prompts), f"{each.calls:.2f}", f"{each.rows:.2f}"),
            *(
                cells.interval(each.quality, digits),
                cells.difference(each.difference, digits),
                _verdict(each, found.loss),
            ),
        ]
        for each in tried
    ]
    return Table(("", "prompts", "calls", "rows", found.metric.title, "difference", "floor"), rows)


def _verdict(tried: Tried, loss: float) -> str:
    return "kept" if tried.kept(loss) else "below" if tried.difference.high < -loss else "perhaps"
