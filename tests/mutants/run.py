"""Run as a script, `make mutants`: plants small faults (mutmut's: operators, comparisons, constants, arguments) in what
numbers and formats depend on, one at a time, and asks the tests beside it. Prints what share was found, per module;
which faults survived stands in build/mutants. `equal.txt` says of those that are equal in effect, why.

Faults that change no more than what strings say, or what an error is raised with, are left out: what messages must say
is a matter of tests/hall/test_messages.py. Tests slower than `--slowest` are not asked. `--sample` tries so many of a
group, by chance; the table says of how many.

mutmut wants sources where they are imported from, so the package is laid out so in build/mutants.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # last: in the root, the hall's folder would hide the rooms

from tests.support.mutants import mutants_of  # noqa: E402
from tests.support.planting import Tried, keep_results, options, tell, to_try  # noqa: E402

ROOMS = ("runtime", "export", "quantization", "benchmarks", "conformance", "serve")
EQUAL = Path(__file__).with_name("equal.txt")
MUTMUT = str(Path(sys.executable).with_name("mutmut"))

GROUPS = {
    "sampling": ("runtime/sampling/*", "tests/runtime/sampling"),
    "metrics": ("benchmarks/metrics/*", "tests/benchmarks/metrics"),
    "rounding": ("quantization/rounding/*", "tests/quantization/rounding"),
    "states": ("runtime/tasks/se*|runtime/tasks/state.py|runtime/tasks/parameters.py", "tests/runtime/tasks"),
    "bundle": (
        "runtime/bundle/json_fields.py|runtime/bundle/manifest.py|runtime/bundle/golden.py",
        "tests/runtime/bundle/test_manifest.py|tests/runtime/bundle/test_folder.py|tests/runtime/bundle/test_golden.py|"
        "tests/runtime/bundle/test_manifest_ends.py|tests/runtime/bundle/test_stays_inside.py",
    ),
    "drawing": (
        "runtime/drawing/*",
        "tests/runtime/drawing|tests/runtime/test_first_step.py|tests/runtime/test_prompt_weights.py",
    ),
    "fidelity": (
        "benchmarks/subjects/teacher_forcing.py|quantization/sensitivity/*",
        "tests/benchmarks/subjects/test_teacher_forcing.py|tests/benchmarks/subjects/test_compare_bundles.py|"
        "tests/quantization/sensitivity",
    ),
}
"""Name -> modules, and the tests that are asked."""

_SETTINGS = """[tool.mutmut]
source_paths = ["src"]
only_mutate = [{modules}]
also_copy = ["src", "conformance", "demo", "apps", "docs"]
pytest_add_cli_args = ["-q", "--import-mode=importlib", "-W", "ignore", "-p", "no:cacheprovider", "-p", "no:xdist",
  "-p", "no:unraisableexception", "-p", "tests.mutants.kept", "-m", "not slow and not macos and not real_checkpoint"]
pytest_add_cli_args_test_selection = [{tests}]
process_isolation = "forkserver"
timeout_constant = 3.0
timeout_multiplier = 4.0
on_dependency_change = "ignore"
use_git_change_detection = false
"""


def lay_out(folder: Path, modules: str, tests: str) -> None:
    """Copy the package as it is imported, and the tests."""
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "src" / "amused_edge"
    ignored = shutil.ignore_patterns("__pycache__", "vectors", "page")
    shutil.copytree(ROOT / "amused_edge", package, ignore=ignored)
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=ignored)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for read in (
        Path("conformance", "vectors"),
        Path("demo"),
        Path("docs"),
        Path("apps", "web", "test", "browser", "tiny-bundle"),
    ):
        shutil.copytree(ROOT / read, folder / read)
    listed = ", ".join(f'"src/amused_edge/{module}"' for module in modules.split("|"))
    pytest = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    settings = _SETTINGS.format(modules=listed, tests=", ".join(f'"{each}"' for each in tests.split("|")))
    markers = ", ".join(f'"{marker.split(":")[0]}"' for marker in pytest["markers"])
    (folder / "pyproject.toml").write_text(f"{settings}\n[tool.pytest.ini_options]\nmarkers = [{markers}]\n")


def ask(folder: Path, log: Path, mutants: Sequence[str], chosen: argparse.Namespace) -> None:
    """Have mutmut plant faults and ask the tests; of a name that no mutant has, it plants, and asks only for times."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    environment = {**os.environ, **threads, "HYPOTHESIS_MAX_EXAMPLES": "20", "SLOWEST_TEST": str(chosen.slowest)}
    with log.open("a") as file:
        command = [MUTMUT, "run", "--max-children", str(chosen.jobs), *mutants]
        subprocess.run(command, cwd=folder, env=environment, stdout=file, stderr=file, check=False)


def run(group: str, chosen: argparse.Namespace) -> Tried:
    """Return all mutants of a group but those of texts, and what became of those that were tried."""
    folder = ROOT / "build" / "mutants" / group
    lay_out(folder, *GROUPS[group])
    log = folder / "log"
    ask(folder, log, ["none of them"], chosen)
    planted = [each for each in mutants_of(folder / "mutants" / "src", "amused_edge") if not each.only_texts]
    tried, known = to_try(planted, results_of(group), chosen)
    asked = [each.name for each in tried if each.name not in known]
    ask(folder, log, asked, chosen)
    if late := [name for name, how in told(folder).items() if how == "timeout" and name in asked]:
        ask(folder, log, late, chosen)  # the machine may have been busy
    became = {**told(folder), **known}
    names = {each.name for each in tried}
    if not names or any(became.get(name, "not checked") == "not checked" for name in names):
        sys.exit(f"not all of {len(names)} mutants were tried, see {log}")
    keep_results(results_of(group), tried, became)
    return planted, {name: became[name] for name in names}


def told(folder: Path) -> dict[str, str]:
    """Return what became of each mutant, as mutmut tells it."""
    command = [MUTMUT, "results", "--all", "true"]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return dict(re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", text, re.M))


def results_of(group: str) -> Path:
    """Return the file that says what became of each change that was tried."""
    return ROOT / "build" / "mutants" / f"{group}-results.json"


def main() -> None:
    """Mutate what is asked for, and print a table."""
    parser = options(__doc__, GROUPS)
    parser.add_argument("--slowest", type=float, default=1.0, help="seconds; slower tests are not asked")
    chosen = parser.parse_args()
    tell(chosen.groups or GROUPS, lambda group: run(group, chosen), EQUAL, ROOT / "build" / "mutants")


if __name__ == "__main__":
    main()
