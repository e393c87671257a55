"""Drawings for reports, as SVG text."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amused_edge.benchmarks.report.quiet_matplotlib import Axes, Figure, Line2D, rc_context

BLUE, GREY, PALE = "#2b6cb0", "#5b6675", "#b9c3d0"
_MARKS = "osD^vP*X"


@dataclass(frozen=True)
class Point:
    """A bundle with settings, in a plot of two figures.

    Attributes
    ----------
    series
        Points of one series share a mark.
    text
        Beside the point.
    low, high
        Interval of `y`.
    dominated
        Another point is as good in both figures and better in one.
    """

    series: str
    text: str
    x: float
    y: float
    low: float
    high: float
    dominated: bool


def bars(values: Mapping[str, tuple[float, float, float]], axis: str) -> str:
    """Return horizontal bars with whiskers: label -> (value, low, high)."""
    labels = list(values)
    middle, low, high = zip(*values.values(), strict=True)
    errors = [[max(0.0, m - x) for m, x in zip(middle, low, strict=True)]]
    errors.append([max(0.0, x - m) for m, x in zip(middle, high, strict=True)])

    def draw(axes: Axes) -> None:
        axes.barh(labels, middle, xerr=errors, color=BLUE, height=0.62, error_kw={"ecolor": GREY, "capsize": 3})
        _name_bars(axes, [f"{value:.3g}" for value in middle], high)
        axes.set_xlabel(axis)

    return _svg(draw, height=0.6 + 0.34 * len(labels))


def stacked(values: Mapping[str, tuple[float, float]], names: tuple[str, str], axis: str) -> str:
    """Return horizontal bars of two parts: label -> (first, second)."""
    labels = list(values)
    first, second = zip(*values.values(), strict=True)

    def draw(axes: Axes) -> None:
        axes.barh(labels, first, color=BLUE, height=0.62, label=names[0])
        axes.barh(labels, second, left=first, color=PALE, height=0.62, label=names[1])
        totals = [a + b for a, b in zip(first, second, strict=True)]
        _name_bars(axes, [f"{total:.0f}" for total in totals], totals)
        axes.set_xlabel(axis)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=8)

    return _svg(draw, height=0.9 + 0.34 * len(labels))


def scatter(points: Sequence[Point], x_axis: str, y_axis: str) -> str:
    """Return points with intervals; dominated ones are hollow, the others are joined by a line."""
    front = sorted((point for point in points if not point.dominated), key=lambda point: point.x)
    series = list(dict.fromkeys(point.series for point in points))

    def draw(axes: Axes) -> None:
        axes.plot([p.x for p in front], [p.y for p in front], color=PALE, zorder=1)
        for number, name in enumerate(series):
            for point in (point for point in points if point.series == name):
                color = PALE if point.dominated else BLUE
                face = "white" if point.dominated else color
                error = [[max(0.0, point.y - point.low)], [max(0.0, point.high - point.y)]]
                mark = _MARKS[number % len(_MARKS)]
                axes.errorbar(
                    point.x, point.y, error, fmt=mark, color=color, mfc=face, elinewidth=0.8, capsize=2, zorder=2
                )
                if not point.dominated:
                    axes.annotate(point.text, (point.x, point.y), (4, 4), textcoords="offset points", fontsize=7)
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        handles = [Line2D([], [], marker=_MARKS[n % len(_MARKS)], color=BLUE, linestyle="") for n in range(len(series))]
        axes.legend(handles, series, frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))

    return _svg(draw, height=4.2)


def _name_bars(axes: Axes, texts: Sequence[str], ends: Sequence[float]) -> None:
    """Write a bar's value behind its end, and put the first bar on top."""
    for place, (text, end) in enumerate(zip(texts, ends, strict=True)):
        axes.annotate(text, (end, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(ends) or 1.0)


def _svg(draw: Any, height: float) -> str:
    settings: Any = {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "amused-edge",
        "font.size": 9,
        "font.family": "sans-serif",
        "text.parse_math": False,  # names may hold dollar signs
    }
    with rc_context(settings):
        figure = Figure(figsize=(8.2, height), layout="constrained")
        axes = figure.subplots()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
