"""Figures from known records, and the page that shows them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.benchmarks.execution.audit import Audit, Operator
from amused_edge.benchmarks.latency.measure import LatencyOptions, Turn
from amused_edge.benchmarks.latency.page import page
from amused_edge.benchmarks.latency.record import TurnMemory, TurnRecord
from amused_edge.benchmarks.latency.results import Failure, LatencyResult, Timing, summarise
from amused_edge.benchmarks.machine.environment import Environment
from amused_edge.benchmarks.machine.memory import Memory
from amused_edge.benchmarks.metrics.statistics import Ratio, Summary
from amused_edge.benchmarks.report import cells
from amused_edge.benchmarks.report.document import Document, Flag, Plot, Table
from amused_edge.benchmarks.report.markdown import to_markdown
from amused_edge.benchmarks.report.write import report_files
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings

SETTINGS = SamplerSettings(steps=4, guidance_scale=2.5)
MACHINE = Environment("A CPU", (), 2, None, "Linux 6", "3.12.0", {})


def memory(total: int, anonymous: int | None, file_backed: int | None) -> dict[str, Any]:
    return {"total": total, "anonymous": anonymous, "file_backed": file_backed}


def warm(label: str, number: int, pictures: list[float], denoiser: list[float], peak: int = 5) -> Turn:
    record = {
        "ready": 2.0 + number,
        "load": 1.0,
        "pictures": [{"steps": 4, "guidance_scale": 2.5, "seconds": pictures}],
        "stages": {"denoiser": denoiser},
        "memory": {"loaded": memory(3, 2, 1), "peak": memory(peak, peak - 1, 10 - peak)},
    }
    return Turn(label, number, None, 1, False, TurnRecord.from_dict(record))


def cold(label: str, number: int, load: float | None) -> Turn:
    return Turn(label, number, None, 1, True, TurnRecord(None if load is None else load + 1, load))


TURNS = [
    *[cold("base", 0, 3.0), warm("base", 0, [4.0, 6.0], [0.1, 0.2, 0.9])],
    *[cold("fast", 0, None), warm("fast", 0, [2.0, 3.0], [0.2, 0.2, 0.2], peak=7)],
    *[cold("fast", 1, None), warm("fast", 1, [4.0, 4.0], [0.1, 0.1, 0.1])],
    *[cold("base", 1, 5.0), warm("base", 1, [10.0, 10.0], [0.4, 0.4, 0.4])],
    *[warm("base", 2, [8.0, 8.0], [0.1, 0.1, 0.1]), warm("fast", 2, [6.0, 6.0], [0.1, 0.1, 0.1])],
]


def timing(result: LatencyResult, label: str, part: str, is_cold: bool = False) -> Timing:
    (found,) = [t for t in result.timings if (t.label, t.part, t.cold) == (label, part, is_cold)]
    return found


def test_times_are_summed_up_over_all_rounds() -> None:
    found = timing(summarise(TURNS), "base", "picture")
    values = [4.0, 6.0, 10.0, 10.0, 8.0, 8.0]
    p10, median, p90 = np.percentile(values, [10, 50, 90])
    assert found.seconds == Summary(pytest.approx(median), pytest.approx(p10), pytest.approx(p90), 6, 4.0, 10.0)
    assert (found.steps, found.guidance_scale) == (4, 2.5)
    denoiser = timing(summarise(TURNS), "base", "denoiser")
    assert (denoiser.seconds.count, denoiser.steps) == (9, None)


def test_ratios_are_medians_of_the_rounds_ratios() -> None:
    """Rounds: 2.5 of 5, 4 of 10, 6 of 8. Not the ratio of medians, which is 4 of 8."""
    assert timing(summarise(TURNS), "fast", "picture").ratio == Ratio(0.5, 0.4, 0.75, 3)
    turns = [warm("a", n, [x], [1.0]) for n, x in enumerate([1.0, 10.0, 4.0])]
    turns += [warm("b", n, [x], [1.0]) for n, x in enumerate([3.0, 20.0, 1.0])]
    ratio = timing(summarise(turns), "b", "picture").ratio
    assert ratio == Ratio(2.0, 0.25, 3.0, 3)  # the ratio of medians is 0.75


def test_the_baseline_beside_itself_is_exactly_1() -> None:
    assert timing(summarise(TURNS), "base", "picture").ratio == Ratio(1.0, 1.0, 1.0, 3)
    assert cells.ratio(Ratio(1.0, 1.0, 1.0, 5)) == ""


def test_a_ratio_whose_range_holds_1_is_called_none() -> None:
    ratio = timing(summarise(TURNS), "fast", "denoiser").ratio
    assert ratio == Ratio(pytest.approx(1.0), pytest.approx(0.25), pytest.approx(1.0), 3)
    assert cells.ratio(ratio) == "1.00 (0.25\u20131.00)"  # three rounds are too few to say so
    assert cells.ratio(replace(ratio, rounds=5)) == "1.00 (0.25\u20131.00): none"
    assert cells.ratio(replace(ratio, rounds=1)) == "1.00"
    assert cells.ratio(Ratio(0.5, 0.4, 0.75, 5)) == "0.50 (0.40\u20130.75)"
    assert cells.ratio(Ratio(1.2, 1.01, 1.3, 5)) == "1.20 (1.01\u20131.30)"
    assert cells.ratio(None) == ""


def test_cold_and_warm_loads_are_apart_and_unknown_ones_left_out() -> None:
    result = summarise(TURNS)
    assert timing(result, "base", "load", True).seconds.median == 4.0
    assert timing(result, "base", "ready", True).seconds.median == 5.0
    assert timing(result, "base", "load").seconds.median == 1.0
    assert timing(result, "base", "ready").seconds.median == 3.0
    assert not [t for t in result.timings if t.label == "fast" and t.cold]


def test_a_ratio_needs_rounds_in_common() -> None:
    turns = [warm("base", 0, [4.0], [0.1]), warm("late", 1, [2.0], [0.1])]
    assert timing(summarise(turns), "late", "picture").ratio is None
    failed = [Turn("base", 0, None, 1, False, TurnRecord(error="no luck")), warm("late", 0, [2.0], [0.1])]
    assert timing(summarise(failed), "late", "picture").ratio is None


def test_memory_is_the_largest_of_all_rounds_each_figure_by_itself() -> None:
    footprints = {f.label: f for f in summarise(TURNS).footprints}
    assert footprints["fast"].peak == Memory(7, 6, 5)
    assert footprints["base"].loaded == Memory(3, 2, 1)
    turns = [replace(TURNS[1], record=TurnRecord(memory=TurnMemory(Memory(3, None, None), Memory(4, None, None))))]
    assert summarise(turns).footprints[0].peak == Memory(4, None, None)


def test_failures_are_listed_and_earlier_rounds_still_count() -> None:
    turns = [*TURNS[:4], Turn("fast", 1, None, 1, False, TurnRecord(error="killed by SIGKILL"))]
    result = summarise(turns)
    assert result.failures == (Failure("fast", None, 1, "killed by SIGKILL"),)
    assert timing(result, "fast", "picture").ratio == Ratio(0.5, 0.5, 0.5, 1)


# --- The page.

OPERATORS = (Operator("MatMul", "float32", 3, 0.75, True), Operator("Add", "float32", 2, 0.25, False))


def documented(
    turns: list[Turn], labels: tuple[str, ...] = ("base", "fast"), *, seconds: float = 1.0, **changes: Any
) -> Document:
    specs = [SubjectSpec(label, "", {}, (), {"recipe": "w8a8"} if label == "fast" else {}) for label in labels]
    operators = tuple(replace(o, seconds=seconds * o.seconds) for o in OPERATORS)
    audits = {label: {"denoiser": Audit(operators)} for label in labels}
    options = LatencyOptions(**{"prompt": "a fox", "seed": 0, "settings": (SETTINGS,), "rounds": 3, **changes})
    document = page(specs, options, MACHINE, summarise(turns), audits, ())
    tables = [block for section in document.sections for block in section.blocks if isinstance(block, Table)]
    assert all(len(row) == len(table.header) for table in tables for row in table.rows)
    return document


def rows_of(document: Document, section: str, place: int = 0) -> dict[str, list[str]]:
    (found,) = [s for s in document.sections if s.title.startswith(section)]
    table = [block for block in found.blocks if isinstance(block, Table)][place]
    return {row[0]: list(row[1:]) for row in table.rows}


def test_the_overview_has_time_ratio_memory_and_precision() -> None:
    rows = rows_of(documented(TURNS), "Whole pictures")
    assert rows["base"][0] == "8.00 s (4.00\u201310.0)"
    assert (rows["base"][1], rows["fast"][1]) == ("", "0.50 (0.40\u20130.75)")
    assert (rows["base"][-1], rows["fast"][-1]) == ("100% float32", Flag("promises int8, ran 100% in float32"))


def test_who_was_not_measured_is_told_in_the_overview_and_below() -> None:
    turns = [warm("base", 0, [4.0], [0.1]), Turn("fast", 0, None, 1, False, TurnRecord(error="no <b>luck</b>"))]
    document = documented(turns)
    assert rows_of(document, "Whole pictures")["fast"][0] == Flag("failed")
    assert rows_of(document, "Not measured")["fast"] == ["", "1", Flag("no <b>luck</b>")]
    assert "no \\<b>luck\\</b>" in to_markdown(document)


def test_a_cold_load_that_is_not_known_has_an_empty_cell() -> None:
    rows = rows_of(documented(TURNS), "Stages")
    assert rows["base"][:4] == [
        *["5.00 s (4.00\u20136.00)", "3.00 s (2.00\u20134.00)"],
        *["4.00 s (3.00\u20135.00)", "1.00 s (1.00\u20131.00)"],
    ]
    assert (rows["fast"][0], rows["fast"][2]) == ("", "")


def test_seconds_a_picture_are_of_one_picture_also_in_a_batch() -> None:
    turns = [replace(turn, batch=4) for turn in (warm("base", 0, [8.0], [0.1]), warm("fast", 0, [2.0], [0.1]))]
    (plot,) = [
        b for b in documented(turns, batches=(4,)).sections[0].blocks if isinstance(b, Plot) and "pict" in b.name
    ]
    assert ">2</text>" in plot.svg  # what stands at the bars
    assert ">0.5</text>" in plot.svg


def test_graphs_too_quick_to_time_do_not_break_the_page() -> None:
    assert "MatMul" in to_markdown(documented(TURNS, seconds=0.0))


def test_a_bundle_beside_itself_gives_a_page_without_warnings(recwarn: pytest.WarningsRecorder) -> None:
    document = documented([warm("base", 0, [4.0], [0.1]), warm("base (2)", 0, [4.0], [0.1])], ("base", "base (2)"))
    assert rows_of(document, "Whole pictures")["base (2)"][1] == ""
    assert not recwarn.list


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (report_files("latency", {"a": 1}, documented(TURNS)) for _ in range(2))
    assert first == second
