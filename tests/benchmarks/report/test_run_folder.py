"""A long run's folder: what an interruption leaves is gone on with, and nothing else is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amused_edge.benchmarks.report.run_folder import RECORDS_NAME, RESULTS_NAME, SETTINGS_NAME, RunFolder
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, OutputExistsError
from amused_edge.runtime.system.unfinished import unfinished

SETTINGS: dict[str, Any] = {"command": "test", "steps": [4, 12], "options": {"guidance": 2.5, "seed": None}}


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A run that ended after two records."""
    run = RunFolder(tmp_path / "run", SETTINGS)
    run.add("fp32 0", {"seconds": 0.25})
    run.add("w8 0", {"seconds": 0.125, "prompt": "a caf\u00e9 on a \u2028 white background"})
    return tmp_path / "run"


def test_a_new_run_writes_its_settings_first(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "deep" / "run", SETTINGS)
    assert len(run) == 0
    assert [file.name for file in run.path.iterdir()] == [SETTINGS_NAME]
    assert json.loads((run.path / SETTINGS_NAME).read_text()) == SETTINGS


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert len(RunFolder(tmp_path, SETTINGS)) == 0


def test_a_run_that_was_killed_as_it_began_is_begun_again(tmp_path: Path) -> None:
    """Its settings were not written to their end; what a process that lives is at is not touched."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    begun = unfinished(tmp_path / SETTINGS_NAME)
    begun.with_name(begun.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")).touch()
    assert len(list(tmp_path.iterdir())) == 1
    assert len(RunFolder(tmp_path, SETTINGS)) == 0
    assert [file.name for file in tmp_path.iterdir()] == [SETTINGS_NAME]
    other = tmp_path / "other"
    other.mkdir()
    unfinished(other / SETTINGS_NAME).touch()
    with pytest.raises(OutputExistsError):
        RunFolder(other, SETTINGS)


def test_each_record_is_in_the_file_at_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    for number in range(3):
        run.add(f"picture {number}", {"seconds": number / 8})
        lines = (tmp_path / RECORDS_NAME).read_text().splitlines()
        assert json.loads(lines[-1]) == {"key": f"picture {number}", "seconds": number / 8}
        assert len(lines) == len(run) == number + 1


def test_an_interrupted_run_goes_on_with_its_records(interrupted: Path) -> None:
    run = RunFolder(interrupted, SETTINGS)
    assert len(run) == 2
    assert "fp32 0" in run
    assert "fp32 1" not in run
    assert run["fp32 0"]["seconds"] == 0.25
    assert run["w8 0"]["prompt"] == "a caf\u00e9 on a \u2028 white background"
    run.add("fp32 1", {"seconds": 0.5})
    assert len(RunFolder(interrupted, SETTINGS)) == 3


def test_a_record_is_the_same_before_and_after_an_interruption(tmp_path: Path) -> None:
    """JSON knows no tuples: they are lists at once."""
    run = RunFolder(tmp_path, {"sizes": (1, 2)})
    run.add("a", {"times": (0.1, 0.2)})
    assert run["a"] == RunFolder(tmp_path, {"sizes": (1, 2)})["a"] == {"key": "a", "times": [0.1, 0.2]}
    assert run.settings == {"sizes": [1, 2]}


def test_a_run_without_records_goes_on(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", SETTINGS)
    assert len(RunFolder(tmp_path / "run", SETTINGS)) == 0


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_that_a_killed_run_left_unfinished_is_cut_off(interrupted: Path, cut: int) -> None:
    """Even within a character; with one byte cut off only the line's end is missing."""
    file = interrupted / RECORDS_NAME
    before = file.read_bytes()
    first = before[: before.index(b"\n") + 1]
    file.write_bytes(before[:-cut])
    run = RunFolder(interrupted, SETTINGS)
    assert len(run) == 1
    assert file.read_bytes() == first
    run.add("w8 0", {"seconds": 1.0})
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == ["fp32 0", "w8 0"]


def test_a_run_killed_in_its_first_record_starts_with_none(interrupted: Path) -> None:
    (interrupted / RECORDS_NAME).write_bytes(b'{"key": "fp3')
    assert len(RunFolder(interrupted, SETTINGS)) == 0


@pytest.mark.parametrize("line", [b"{", b"", b"3", b"[]", b'"text"', b"{}", b'{"key": "a"} {}', b"\xff\xfe"])
def test_a_damaged_line_is_an_error_and_stays(interrupted: Path, line: bytes) -> None:
    file = interrupted / RECORDS_NAME
    file.write_bytes(line + b"\n" + file.read_bytes())
    before = content(interrupted)
    with pytest.raises(AmusedEdgeError, match=r"records\.jsonl is damaged; remove .*run and run again"):
        RunFolder(interrupted, SETTINGS)
    assert content(interrupted) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [({"steps": [4]}, "steps"), ({"options": {"guidance": 2.0, "seed": None}}, "options"), ({"threads": 2}, "threads")],
)
def test_other_settings_are_refused_and_the_first_is_named(
    interrupted: Path, change: dict[str, Any], named: str
) -> None:
    before = content(interrupted)
    with pytest.raises(OptionsError, match=rf"other settings \({named} differs\)"):
        RunFolder(interrupted, {**SETTINGS, **change})
    assert content(interrupted) == before


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "{}"])
def test_damaged_settings_are_refused(interrupted: Path, text: str) -> None:
    (interrupted / SETTINGS_NAME).write_text(text)
    with pytest.raises((OutputExistsError, OptionsError), match="choose another folder"):
        RunFolder(interrupted, SETTINGS)


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="holds no benchmark run; choose another folder"):
        RunFolder(tmp_path, SETTINGS)
    assert content(tmp_path) == {"thesis.txt": b"years of work"}


def test_a_file_in_the_folders_place_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("years of work")
    with pytest.raises(OutputExistsError, match="holds no benchmark run"):
        RunFolder(tmp_path / "run", SETTINGS)
    assert content(tmp_path) == {"run": b"years of work"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AmusedEdgeError, match="file is a file, where a folder is needed"):
        RunFolder(tmp_path / "file" / "run", SETTINGS)


def test_a_complete_run_is_refused(interrupted: Path) -> None:
    RunFolder(interrupted, SETTINGS).finish({RESULTS_NAME: "{}", "report.md": "# Report"})
    before = content(interrupted)
    with pytest.raises(OutputExistsError, match="holds a complete run; choose another folder or remove it"):
        RunFolder(interrupted, SETTINGS)
    assert content(interrupted) == before


def test_results_are_written_as_they_are(interrupted: Path) -> None:
    files = {RESULTS_NAME: '{"a": "\u00e9"}\n', "pictures/1.png": b"\x89PNG\r\n", "report.md": "a\nb\n"}
    RunFolder(interrupted, SETTINGS).finish(files)
    written = content(interrupted)
    assert {name: written[name] for name in files} == {
        RESULTS_NAME: b'{"a": "\xc3\xa9"}\n',
        "pictures/1.png": b"\x89PNG\r\n",
        "report.md": b"a\nb\n",
    }
    assert set(written) == {*files, SETTINGS_NAME, RECORDS_NAME}  # nothing half-written is left


@pytest.mark.parametrize("order", [1, -1])
def test_results_json_comes_last_so_a_run_that_fails_at_its_end_can_go_on(interrupted: Path, order: int) -> None:
    """Here a folder stands where the report belongs."""
    (interrupted / "report.md" / "in the way").mkdir(parents=True)
    files = dict([(RESULTS_NAME, "{}"), ("report.md", "# Report")][::order])
    with pytest.raises(AmusedEdgeError, match=r"cannot write .*report\.md"):
        RunFolder(interrupted, SETTINGS).finish(files)
    assert set(content(interrupted)) == {SETTINGS_NAME, RECORDS_NAME}
    assert len(RunFolder(interrupted, SETTINGS)) == 2


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, SETTINGS)
    (tmp_path / RECORDS_NAME).mkdir()
    with pytest.raises(AmusedEdgeError, match=r"cannot write .*records\.jsonl"):
        run.add("a", {})
    assert "a" not in run
