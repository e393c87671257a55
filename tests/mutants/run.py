"""Run as a script, `make mutants`: plants small faults (mutmut's: operators, comparisons, constants, arguments) in what
numbers and formats depend on, one at a time, and asks the tests beside it. Prints what share was found, per module, and
which faults survived; `survivors.txt` says of those that are equal in effect, why.

mutmut wants sources where they are imported from, so the package is laid out so in build/mutants.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "export", "quantization", "benchmarks", "conformance", "serve")
EQUAL = Path(__file__).with_name("equal.txt")

GROUPS = {
    "sampling": ("runtime/sampling/*", "tests/runtime/sampling"),
    "metrics": ("benchmarks/metrics/*", "tests/benchmarks/metrics"),
    "rounding": ("quantization/rounding/*", "tests/quantization/rounding"),
    "states": ("runtime/tasks/se*|runtime/tasks/state.py|runtime/tasks/parameters.py", "tests/runtime/tasks"),
    "bundle": (
        "runtime/bundle/json_fields.py|runtime/bundle/manifest.py|runtime/bundle/golden.py",
        "tests/runtime/bundle",
    ),
}
"""Name -> modules, and the tests that are asked."""

_SETTINGS = """[tool.mutmut]
source_paths = ["src"]
only_mutate = [{modules}]
also_copy = ["src", "conformance"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "-x", "-q", "--import-mode=importlib", "-W", "ignore"]
pytest_add_cli_args_test_selection = [{tests}]
timeout_constant = 20.0
on_dependency_change = "ignore"
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
    shutil.copytree(ROOT / "conformance" / "vectors", folder / "conformance" / "vectors")
    listed = ", ".join(f'"src/amused_edge/{module}"' for module in modules.split("|"))
    pytest = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    settings = _SETTINGS.format(modules=listed, tests=", ".join(f'"{each}"' for each in tests.split("|")))
    markers = ", ".join(f'"{marker.split(":")[0]}"' for marker in pytest["markers"])
    (folder / "pyproject.toml").write_text(f"{settings}\n[tool.pytest.ini_options]\nmarkers = [{markers}]\n")


def run(group: str, jobs: int) -> list[tuple[str, str]]:
    """Return (mutant, what became of it) of a group."""
    folder = ROOT / "build" / "mutants" / group
    lay_out(folder, *GROUPS[group])
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(jobs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HYPOTHESIS_MAX_EXAMPLES": "20"}
    with (folder / "log").open("w") as log:
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    results = [str(Path(sys.executable).with_name("mutmut")), "results", "--all", "true"]
    told = subprocess.run(results, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout
    found = re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", told, re.M)
    if not found:
        sys.exit(f"nothing was mutated, see {folder / 'log'}")
    return found


def change(group: str, mutant: str) -> str:
    """Return the lines that a mutant changes."""
    command = [str(Path(sys.executable).with_name("mutmut")), "show", mutant]
    folder = ROOT / "build" / "mutants" / group
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return "\n".join(line for line in told.splitlines() if re.match(r"[+-](?![+-])", line))


def main() -> None:
    """Mutate what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="all if none is given")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    equal = EQUAL.read_text() if EQUAL.exists() else ""
    print("| module | planted | found | equal in effect | share found |", "|---" * 5 + "|", sep="\n", flush=True)
    for group in chosen.groups or GROUPS:
        modules: dict[str, Counter[str]] = defaultdict(Counter)
        survivors = []
        for mutant, became in run(group, chosen.jobs):
            module = re.sub(r"\.(x_|xǁ).*", "", mutant.removeprefix("amused_edge."))
            lines = change(group, mutant) if became in ("survived", "no tests") else ""
            what = (
                "equal" if lines and lines in equal else "survived" if became in ("survived", "no tests") else "found"
            )
            modules[module][what] += 1
            if what == "survived":
                survivors.append(f"{mutant} ({became})\n{lines}")
        for module, counts in sorted(modules.items()):
            asked = counts["found"] + counts["survived"]
            share = counts["found"] / asked if asked else 1.0
            print(
                f"| {module} | {asked + counts['equal']} | {counts['found']} | {counts['equal']} | {share:.1%} |",
                flush=True,
            )
        place = ROOT / "build" / "mutants" / f"{group}-survivors.txt"
        place.write_text("\n\n".join(survivors) + "\n")
        print(f"  {len(survivors)} survived: {place}", flush=True)


if __name__ == "__main__":
    main()
