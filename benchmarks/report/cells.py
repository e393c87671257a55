"""How figures are written in tables."""

import math

from amused_edge.benchmarks.execution.audit import Audit, promised_precision
from amused_edge.benchmarks.metrics.statistics import Interval, Ratio, Summary
from amused_edge.benchmarks.report.document import Flag


def seconds(value: Summary | None) -> str:
    """Return the median and the spread, in ms below a second; "" for None."""
    if value is None:
        return ""
    unit, factor = ("s", 1.0) if value.median >= 1 else ("ms", 1e3)
    median, low, high = (_three(factor * x) for x in (value.median, *value.spread))
    spread = f" ({low}–{high})" if value.count > 1 else ""
    return f"{median} {unit}{spread}"


VERDICT = 0.9
"""How sure a ratio must be before it is called a difference or none."""


def ratio(value: Ratio | None) -> str:
    """Return a ratio with its range; "none" if 1 lies inside and rounds are enough to say so."""
    if value is None or (value.estimate, value.low, value.high) == (1, 1, 1):
        return ""
    if value.rounds == 1:
        return f"{value.estimate:.2f}"
    verdict = ": none" if value.holds(1) and value.certainty >= VERDICT else ""
    return f"{value.estimate:.2f} ({value.low:.2f}–{value.high:.2f}){verdict}"


def number(value: float, digits: int, exponent: bool = False) -> str:
    """Return a number, "0" for exactly that; "equal" for the infinite ratio of pictures without any difference."""
    if math.isinf(value):
        return "equal"
    if value == 0:
        return "0"
    return f"{value:.2e}" if exponent else f"{value:.{digits}f}"


def interval(value: Interval, digits: int, exponent: bool = False) -> str:
    """Return a value with its interval in brackets, where it has a width."""
    estimate, low, high = (number(x, digits, exponent) for x in (value.estimate, value.low, value.high))
    return estimate if value.low == value.high else f"{estimate} ({low}–{high})"


def difference(value: Interval, digits: int) -> str:
    """Return a difference with its interval; "none" if 0 lies inside."""
    if value.low == value.high == 0:
        return "none"
    if value.holds(0):
        return f"none ({value.low:+.{digits}f} to {value.high:+.{digits}f})"
    return f"{value.estimate:+.{digits}f} ({value.low:+.{digits}f} to {value.high:+.{digits}f})"


def megabytes(value: float | None) -> str:
    """Return bytes in MB (10^6)."""
    return "" if value is None else f"{value / 1e6:.0f}" if value >= 1e8 else f"{value / 1e6:.1f}"


def ran_in(audit: Audit, *names: str) -> str:
    """Return what products ran in, as shares of their time; a warning where one of the names promises more."""
    shares = audit.shares(products=True)
    if not shares:
        return "not told"
    broken = audit.contradiction(promised_precision(*names))
    return Flag(broken) if broken else " + ".join(f"{v:.0%} {name}" for name, v in shares.items() if v >= 0.005)


def _three(value: float) -> str:
    """Return three significant digits without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
