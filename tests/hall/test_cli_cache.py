"""`generate --cache` and `cache`: what is kept, shown and removed."""

import re
import sys
from pathlib import Path

import pytest

from tests.support.command import COMMAND, fails
from tests.support.in_process import Run
from tests.support.unprivileged import run_unprivileged


def test_graphs_are_kept_shown_and_removed(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    draw = ("generate", demo_bundle, "a fox", "--steps", "2", "--quiet")
    pictures = []
    for index, options in enumerate(((), ("--cache",), ("--cache",), ("--cache", "--low-memory"))):
        result = run(*draw, *options, "-o", f"{index}.png", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        pictures.append((tmp_path / f"{index}.png").read_bytes())
    assert len(set(pictures)) == 1
    shown = run("cache", cwd=tmp_path).stdout.splitlines()
    assert len(shown) == 5
    assert all("fp32" in line and "onnxruntime" in line and "used 20" in line for line in shown[:4])
    sizes = [float(re.match(r" *([\d.]+) MB", line)[1]) for line in shown]  # type: ignore[index]
    assert abs(sum(sizes[:4]) - sizes[4]) < 0.3
    assert shown[4].endswith("4 graphs")
    removed = run("cache", "--clear", cwd=tmp_path)
    assert removed.stdout.splitlines()[-1].endswith("4 graphs removed")
    assert run("cache", cwd=tmp_path).stdout == "      0.0 MB  0 graphs\n"


def test_nothing_is_kept_unasked(demo_bundle: Path, tmp_path: Path, run: Run) -> None:
    run("generate", demo_bundle, "a fox", "--steps", "1", "--quiet", "-o", "a.png", cwd=tmp_path)
    assert run("cache", cwd=tmp_path).stdout.endswith("0 graphs\n")


@pytest.mark.parametrize("options", [(), ("--cache",)])
@pytest.mark.parametrize("mode", [0o000, 0o500], ids=["unreadable", "read-only"])
def test_a_home_that_is_closed_is_noted_once(
    demo_bundle: Path, tmp_path: Path, mode: int, options: tuple[str, ...]
) -> None:
    """Drawing needs no home, and stopped with a bare error of the system where it might not look into it."""
    home = tmp_path / "home"
    home.mkdir(mode=mode)
    command = [*COMMAND, "generate", str(demo_bundle), "a fox", "--steps", "1", "-o", "a.png", *options]
    result = run_unprivileged(command, tmp_path, {"HOME": str(home), "XDG_CACHE_HOME": None})
    assert result.returncode == 0, result.stderr
    assert result.stdout == "a.png\n"
    (note,) = [line for line in result.stderr.splitlines() if line.startswith("amused-edge: ")]
    assert f"note: the cache folder {home}/.cache/amused-edge cannot be used (Permission denied)" in note


def test_a_cache_that_may_not_be_read_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o000)
    environment = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": None}
    result = run_unprivileged([*COMMAND, "cache"], tmp_path, environment)
    fails(result, 1, "cannot read the cache folder", "Permission denied", "XDG_CACHE_HOME")


def test_reports_are_drawn_without_a_word_where_the_home_is_closed(tmp_path: Path) -> None:
    """matplotlib wants to keep its fonts there, and wrote two long lines."""
    (tmp_path / "home").mkdir(mode=0o500)
    code = (
        "from amused_edge.benchmarks.report.plots import bars;"
        "from amused_edge.benchmarks.report.quiet_matplotlib import Figure;"
        "Figure().savefig('a.png'); print(bars({'a': (1, 0, 2)}, 'x')[:5])"
    )
    environment = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None}
    result = run_unprivileged([sys.executable, "-c", code], tmp_path, environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "<?xml\n", "")
