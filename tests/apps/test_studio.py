"""The page on its real server, visited by Chromium: what it draws, and the phone benchmark from code to report."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.runtime import AmusedPipeline, GenerationOptions
from tests.support.files import read_json
from tests.support.made_once import made_once
from tests.support.paths import TINY_BUNDLE, WEB

NODE = shutil.which("node") or ""
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)) and "REQUIRE_CHROMIUM" not in os.environ, reason="there is no Chromium"
)

# The command, with the page from another folder than the package's, where `make studio` may not have been called.
WITH_PAGE = """
import sys
from pathlib import Path
from amused_edge.serve.http import page
page.page_files.__defaults__ = (Path(sys.argv.pop(1)),)
from amused_edge.cli import main
main()
"""


@pytest.fixture(scope="session")
def page(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> Path:
        subprocess.run([NODE, str(WEB / "studio" / "build.mjs"), str(folder / "page")], check=True)
        return folder / "page"

    return made_once(tmp_path_factory, "studio-page", build)


@contextmanager
def started(page: Path, *command: str, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a command that serves the page; give its first address."""
    given = [sys.executable, "-c", WITH_PAGE, str(page), *command, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(given, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def visit(programs: Path, *request: str) -> dict[str, Any]:
    command = [NODE, str(programs / "test" / "programs" / "visitors.js"), *request]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("compute", ["page", "server"])
def test_a_visitor_draws_what_python_draws(programs: Path, page: Path, tmp_path: Path, compute: str) -> None:
    with AmusedPipeline.from_bundle(TINY_BUNDLE) as pipeline:
        expected = pipeline.generate("a red fox", GenerationOptions(seed=0)).tokens
    asked = ("serve", str(TINY_BUNDLE), "--compute", compute, "--no-open")
    with started(page, *asked, cwd=tmp_path) as (address, process):
        drawn = visit(programs, "draw", address, "a red fox")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    if compute == "page":  # of the server's pictures the tokens stay there; the PNG file's parameters are the same
        assert np.array_equal(np.reshape(drawn["tokens"], expected.shape), expected)
    assert json.loads(drawn["parameters"])["seed"] == 0
    assert drawn["complaints"] == []


def test_two_phones_become_rows_of_the_report(programs: Path, page: Path, tmp_path: Path) -> None:
    asked = ["--phones", "2", "--steps", "3", "--rounds", "1", "--calls", "1"]
    with started(page, "bench", "device", str(TINY_BUNDLE), *asked, cwd=tmp_path) as (address, process):
        assert visit(programs, "phones", address) == {"complaints": []}
        out, err = process.communicate(timeout=60)  # it ends by itself
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == str(Path("bench-device", "report.html"))
    assert err.count(": done") == 2
    runs = read_json(tmp_path / "bench-device" / "results.json")["runs"]
    assert len(runs) == 2
    names = [run["environment"]["device"] for run in runs]
    assert any(run["browser"]["screen"][0] == 390 for run in runs)
    for run in runs:
        (golden,), (quality,) = run["golden"], run["quality"]
        assert golden["reproduced"]
        assert quality["equal_tokens"] == 1.0
        assert quality["mean_kl"] < 1e-6  # float32, computed by another engine's kernels
        assert quality["rows"] > 10
        assert [timing["seconds"]["count"] for timing in run["timings"] if timing["part"] == "picture"] == [1]
    report = (tmp_path / "bench-device" / "report.html").read_text(encoding="utf-8")
    markdown = (tmp_path / "bench-device" / "report.md").read_text(encoding="utf-8")
    pictures, _, quality_rows = markdown.partition("## Quality")
    for name in (names[0], f"{names[1]} (2)" if names[1] == names[0] else names[1]):
        assert f"| {name}: tiny-bundle | 3 |" in pictures
        assert f"| {name}: tiny-bundle |" in quality_rows
        assert f"{name}: tiny-bundle" in report
    assert "provider wasm" in markdown
