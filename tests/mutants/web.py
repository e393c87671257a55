"""Run as a script, `make mutants-web`: plants small faults in the core of the npm package (Stryker's, but for those of
strings), one at a time, and asks the conformance vectors and the quick tests. Prints what share was found, per module;
which faults survived stands in build/mutants/web.

What draws with an engine is not asked: the vectors have the loop's arithmetic. Each set of vectors is a file of its
own here, as Stryker knows of files which faults they reach.
"""

import argparse
import json
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "mutants" / "web"
WEB = PLACE / "apps" / "web"
STRYKER = "9.6.1"
"""The newest for Node 20."""

CORE = {
    "sampling": ["src/sampling/*.ts"],
    "tasks": ["src/tasks/state.ts", "src/tasks/parameters.ts", "src/tasks/record.ts"],
    "bundle": ["src/bundle/json-fields.ts", "src/bundle/manifest.ts", "src/bundle/golden.ts", "src/checks.ts"],
    "drawing": ["src/drawing/starts.ts", "src/pictures/masks.ts"],
}
ASKED = ("sampling", "formats", "mutated")

_VECTORS = """import assert from "node:assert/strict";
import {{ test }} from "node:test";
import {{ reportOf }} from "../support/report.js";

test("{name}", async () => assert.equal((await reportOf("{name}")).status, "PASS"));
"""


def vector_sets() -> list[str]:
    """Return the names of the sets that need no engine."""
    names = [path.stem for path in sorted((ROOT / "conformance" / "vectors").glob("*.json"))]
    return [name for name in names if not name.startswith("pictures-")]


def lay_out() -> None:
    """Copy the package and what its tests read; fetch Stryker once."""
    kept = WEB / "node_modules"
    for folder in (WEB / "src", WEB / "test", PLACE / "conformance", PLACE / "demo"):
        shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("node_modules", "build", "dist")
    shutil.copytree(ROOT / "apps" / "web", WEB, ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(ROOT / "conformance" / "vectors", PLACE / "conformance" / "vectors")
    shutil.copytree(ROOT / "demo", PLACE / "demo")
    (WEB / "test" / "vectors").mkdir()
    for name in vector_sets():
        (WEB / "test" / "vectors" / f"{name}.test.ts").write_text(_VECTORS.format(name=name))
    if not (kept / ".bin" / "stryker").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=WEB, check=True)
        tools = [f"@stryker-mutator/{name}@{STRYKER}" for name in ("core", "tap-runner")]
        subprocess.run(["npm", "install", "--silent", "--no-save", "--legacy-peer-deps", *tools], cwd=WEB, check=True)


def run(groups: list[str], jobs: int) -> dict[str, Any]:
    """Have Stryker plant faults and ask the tests; return its report."""
    sets = [f"vectors/{name}" for name in vector_sets()]
    settings = {
        "testRunner": "tap",
        "plugins": ["@stryker-mutator/tap-runner"],
        "tap": {"testFiles": [f"build/test/{name}.test.js" for name in (*ASKED, *sets)]},
        "buildCommand": "npx tsc -p tsconfig.test.json --noCheck --noEmitOnError false",
        "mutate": [pattern for group in groups for pattern in CORE[group]],
        "mutator": {"excludedMutations": ["StringLiteral", "Regex"]},
        "coverageAnalysis": "perTest",
        "ignoreStatic": True,
        "concurrency": jobs,
        "reporters": ["json", "progress-append-only"],
        "jsonReporter": {"fileName": "mutation.json"},
        "inPlace": True,
        "tempDirName": "stryker",
        "allowEmpty": False,
    }
    (WEB / "stryker.config.json").write_text(json.dumps(settings, indent=1))
    with (PLACE / "log").open("w") as log:
        subprocess.run(["npx", "stryker", "run"], cwd=WEB, stdout=log, stderr=log, check=False)
    report: dict[str, Any] = json.loads((WEB / "mutation.json").read_text())
    return report


def change(lines: list[str], mutant: dict[str, Any]) -> str:
    """Return the lines that a mutant changes."""
    start, end = mutant["location"]["start"], mutant["location"]["end"]
    before = lines[start["line"] - 1 : end["line"]]
    first, last = before[0][: start["column"] - 1], before[-1][end["column"] - 1 :]
    after = f"{first}{mutant.get('replacement', '')}{last}"
    told = [f"- {line.strip()}" for line in before] + [f"+ {line.strip()}" for line in after.splitlines()]
    return "\n".join(told)


def main() -> None:
    """Mutate what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*CORE, []], help="all if none is given")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    lay_out()
    report = run(chosen.groups or list(CORE), chosen.jobs)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for file, content in report["files"].items():
        for mutant in content["mutants"]:
            status = mutant["status"]
            what = {"Survived": "survived", "NoCoverage": "survived", "Ignored": "ignored"}.get(status, "found")
            counts[file][what] += 1
            if what == "survived":
                told = change(content["source"].splitlines(), mutant)
                survivors.append(
                    f"# {file}:{mutant['location']['start']['line']} {mutant['mutatorName']} {status}\n{told}"
                )
    for file, each in sorted(counts.items()):
        asked = each["found"] + each["survived"]
        print(f"| {file} | {asked} | {each['found']} | {each['found'] / max(1, asked):.1%} |")
    (PLACE / "survivors.txt").write_text("\n\n".join(survivors) + "\n")


if __name__ == "__main__":
    main()
