"""The command: its report and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amused_edge.conformance.report import Report, SetReport
from tests.support.paths import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "amused_edge.conformance", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A copy of the kit's vectors that a test may change."""
    return Path(shutil.copytree(ROOT / "conformance" / "vectors", tmp_path / "kit" / "vectors")).parent


def test_a_line_for_each_set_and_their_count() -> None:
    done = run("report", "draws", "remasks")
    assert done.stdout.splitlines() == ["PASS draws 7/7", "PASS remasks 13/13", "2 sets: 2 PASS, 0 FAIL, 0 SKIP"]
    assert done.returncode == 0


def test_a_changed_vector_fails_and_is_named(kit: Path) -> None:
    file = kit / "vectors" / "draws.json"
    content: Any = json.loads(file.read_text())
    content["cases"][2]["expect"]["tokens"][0] += 1
    file.write_text(json.dumps(content))
    done = run("report", "draws", "--kit", str(kit))
    assert done.stdout.splitlines()[0] == "FAIL draws 6/7: case 2: tokens[0] is 1, not 2"
    assert done.returncode == 1


def test_the_report_as_json_and_a_bundle_that_is_missing(tmp_path: Path) -> None:
    done = run("report", "draws", "pictures-w4", "--recipes", str(tmp_path), "--json")
    report = json.loads(done.stdout)
    assert (report["format"], report["version"]) == ("amused-edge conformance report", 1)
    assert set(report["runtime"]) == {"language", "system", "amused-edge", "numpy", "tokenizers", "onnxruntime"}
    draws, pictures = report["sets"]
    assert draws == {"set": "draws", "status": "PASS", "passed": 7, "cases": 7, "near_ties": 0, "reason": ""}
    assert (pictures["status"], pictures["passed"], pictures["cases"]) == ("SKIP", 0, 5)
    assert "make recipes" in pictures["reason"]
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "dice"), "'dice' is no set of vectors; choose from philox-words"),
        (("report", "draws", "--kit", "demo"), "cannot be read as vectors"),
        (("make", "draws", "pictures-w4", "--recipes", "demo"), "there is no bundle demo/demo-w4"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str, kit: Path) -> None:
    before = (kit / "vectors" / "draws.json").stat().st_mtime_ns
    done = run(*arguments, *(() if "--kit" in arguments else ("--kit", str(kit))))
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (kit / "vectors" / "draws.json").stat().st_mtime_ns == before


def test_a_file_of_another_version_is_refused(kit: Path) -> None:
    file = kit / "vectors" / "draws.json"
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    done = run("report", "draws", "--kit", str(kit))
    assert "holds no vectors of version 1" in done.stderr


def test_lines_of_near_ties_and_skips() -> None:
    sets = [
        SetReport.of("a", [([], 1), ([], 1)]),
        SetReport.of("b", [([], 1), (["x is 1, not 2", "y"], 0)]),
        SetReport.skipped("c", 3, "why\nnot"),
    ]
    assert Report({}, sets).lines() == [
        "PASS a 2/2 (2 near-ties)",
        "FAIL b 1/2 (1 near-tie): case 1: x is 1, not 2",
        "SKIP c 0/3: why not",
        "3 sets: 1 PASS, 1 FAIL, 1 SKIP",
    ]
    assert Report({}, sets).failed
    assert not Report({}, [sets[0], sets[2]]).failed
