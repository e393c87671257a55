"""What the pages at the root promise: links that lead somewhere, every command, figures that the benchmarks found."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.command import run
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "demo/checkpoint/README.md", "demo/judge/README.md")
BENCHMARK_PAGES = ("benchmarks.md", "performance.md")
ROOMS = ("runtime", "export", "quantization", "benchmarks", "serve")
WIDTH = 120


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its first two lines."""
    below = README.split(f"## {heading}\n", 1)[1]
    rows = [line for line in below.split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def plain(text: str) -> set[str]:
    """The numbers of a text, powers of ten in one form."""
    return {re.sub(r"e-0?(\d+)", r"e-\1", number) for number in re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", text)}


def test_the_figures_are_those_of_the_benchmarks() -> None:
    lines = [plain(line) for name in BENCHMARK_PAGES for line in (ROOT / "docs" / name).read_text("utf-8").splitlines()]
    rows = table("How large, how fast, how faithful")
    assert len(rows) == 9
    for name, *measured, divergence in rows:
        assert any(plain(" ".join(measured)) <= line for line in lines), name
        assert any(plain(divergence) <= line for line in lines), name


def test_every_command_stands_in_the_table_once(tmp_path: Path) -> None:
    told = [row[0].strip("`").split()[0] for row in table("Commands")]
    shown = re.findall(r"^  ([a-z]+)  ", run("--help", cwd=tmp_path).stdout, re.MULTILINE)
    assert sorted(told) == sorted(shown)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_no_line_of_prose_is_too_long(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []


def test_the_tree_names_every_room() -> None:
    tree = README.split("## The tree\n", 1)[1].split("```")[1]
    rooms = {file.parent for room in ROOMS for file in (ROOT / room).glob("*/__init__.py")}
    assert len(rooms) > 20
    assert [room for room in rooms if f"{room.name}/" not in tree] == [ROOT / "benchmarks" / "scripts"]


def test_version_and_licence_are_the_same_everywhere() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["repository-code"] == project["urls"]["Repository"]


@pytest.mark.parametrize("page", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda page: page.name)
def test_forms_and_workflows_are_yaml(page: Path) -> None:
    assert isinstance(yaml.safe_load(page.read_text(encoding="utf-8")), dict)


def test_the_workflow_runs_what_ci_runs_on_the_versions_that_are_promised() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["check"]
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step.get("uses", "actions/none@v0.0.0"))
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    for version in job["strategy"]["matrix"]["python"]:
        assert f"Programming Language :: Python :: {version}" in promised
