"""Run as a script, `make mutants-web`: plants small faults in the core of the npm package (Stryker's, but for those of
strings), one at a time, and asks the conformance vectors and the quick tests. Prints what share was found, per module;
which faults survived stands in build/mutants. `equal-web.txt` says of those that are equal in effect, why.

What draws with an engine is not asked: the vectors have the loop's arithmetic. Faults that change no more than what
strings say, or what an error is made of, are left out. `--sample` tries so many of a group, by chance; the table says
of how many.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))

from tests.support.mutants import Mutant  # noqa: E402
from tests.support.planting import Tried, keep_results, options, tell, to_try  # noqa: E402

PLACE = ROOT / "build" / "mutants" / "web"
WEB = PLACE / "apps" / "web"
PLUGIN = Path(__file__).with_name("stryker")
EQUAL = Path(__file__).with_name("equal-web.txt")
STRYKER = "9.6.1"
"""The newest for Node 20."""

GROUPS = {
    "sampling": ["src/sampling/*.ts"],
    "tasks": ["src/tasks/state.ts", "src/tasks/parameters.ts", "src/tasks/record.ts"],
    "bundle": ["src/bundle/json-fields.ts", "src/bundle/manifest.ts", "src/bundle/golden.ts", "src/checks.ts"],
    "drawing": ["src/drawing/starts.ts", "src/pictures/masks.ts"],
}
ASKED = (
    "sampling",
    "exp-sum",
    "mask-predict",
    "schedule",
    "options",
    "tasks",
    "manifest",
    "masks",
    "formats",
    "mutated",
)

_VECTORS = """import assert from "node:assert/strict";
import {{ test }} from "node:test";
import {{ ANSWERS }} from "../support/answers.js";
import {{ differences, readSet }} from "../support/vectors.js";

test("{name}", async () => {{
  const set = readSet("{name}");
  for (const [place, {{ given }}] of set.cases.entries()) {{
    // Of damaged bundles those whose manifest is: the graphs take their time.
    if ((given.stage ?? "open") === "open") {{
      assert.deepEqual(await differences(set, place, ANSWERS["{name}"]), []);
    }}
  }}
}});
"""


def vector_sets() -> list[str]:
    """Return the names of the sets that need no engine, but of steps of the full size, which are as those of loops."""
    names = [path.stem for path in sorted((ROOT / "conformance" / "vectors").glob("*.json"))]
    return [name for name in names if not name.startswith(("pictures-", "tokenizer-")) and name != "full-steps"]


def lay_out() -> None:
    """Copy the package and what its tests read; fetch Stryker once."""
    for folder in (WEB / "src", WEB / "test", WEB / "build", PLACE / "conformance", PLACE / "demo"):
        shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("node_modules", "build", "dist")
    shutil.copytree(ROOT / "apps" / "web", WEB, ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(ROOT / "conformance" / "vectors", PLACE / "conformance" / "vectors")
    shutil.copytree(ROOT / "demo", PLACE / "demo")
    (WEB / "test" / "vectors").mkdir()
    for name in vector_sets():
        (WEB / "test" / "vectors" / f"{name}.test.ts").write_text(_VECTORS.format(name=name))
    for file in (WEB / "test").rglob("*.test.ts"):
        text = file.read_text()
        file.write_text(text.replace('from "node:test"', f'from "{(PLUGIN / "collected.mjs").as_uri()}"'))
    if not (WEB / "node_modules" / ".bin" / "stryker").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=WEB, check=True)
        core = f"@stryker-mutator/core@{STRYKER}"
        subprocess.run(["npm", "install", "--silent", "--no-save", "--legacy-peer-deps", core], cwd=WEB, check=True)


def configure(group: str, jobs: int) -> None:
    """Write Stryker's settings."""
    settings = {
        "testRunner": "one-process",
        "plugins": [str(PLUGIN / "plugin.mjs")],
        "ignorers": ["errors"],
        "buildCommand": "npx esbuild src/**/*.ts test/**/*.ts --outbase=. --outdir=build --target=es2022",
        "mutate": GROUPS[group],
        "mutator": {"excludedMutations": ["StringLiteral", "Regex"]},
        "coverageAnalysis": "perTest",
        "concurrency": jobs,
        "timeoutMS": 1_000_000,  # the plugin has limits of its own
        "reporters": ["json", "progress-append-only"],
        "jsonReporter": {"fileName": "mutation.json"},
        "inPlace": True,
        "tempDirName": "stryker",
        "checkers": [],
    }
    (WEB / "stryker.config.json").write_text(json.dumps(settings, indent=1))


def ask(log: Path, mutants: Sequence[str]) -> dict[str, Any]:
    """Have Stryker plant faults, and ask the tests of those with these numbers; return what it reports of each file."""
    sets = [f"vectors/{name}" for name in vector_sets()]
    tests = [f"build/test/{name}.test.js" for name in (*ASKED, *sets)]
    (WEB / "chosen.json").write_text(json.dumps({"files": tests, "mutants": mutants}))
    (WEB / "mutation.json").unlink(missing_ok=True)
    with log.open("a") as file:
        subprocess.run(["npx", "stryker", "run"], cwd=WEB, stdout=file, stderr=file, check=False)
    if not (WEB / "mutation.json").exists():
        sys.exit(f"Stryker did not get to its end, see {log}")
    files: dict[str, Any] = json.loads((WEB / "mutation.json").read_text())["files"]
    for mutant in (each for content in files.values() for each in content["mutants"]):
        if mutant["status"] not in ("Killed", "Timeout", "Survived", "NoCoverage", "Ignored"):
            sys.exit(f"a mutant could not be tried: {mutant['status']}: {mutant.get('statusReason')}")
    return files


def mutants_of(files: dict[str, Any]) -> list[Mutant]:
    """Return the mutants of a report but those that are left out."""
    return [
        Mutant(each["id"], module_of(file), change(file, content["source"], each), only_texts=False)
        for file, content in sorted(files.items())
        for each in content["mutants"]
        if each["status"] != "Ignored"
    ]


def module_of(file: str) -> str:
    """Return how a module is called: `sampling/philox` for `src/sampling/philox.ts`."""
    return file.removeprefix("src/").removesuffix(".ts")


def change(file: str, source: str, mutant: dict[str, Any]) -> str:
    """Return the module, what of it the mutant is in, and the lines that differ: the same wherever they stand."""
    lines = source.splitlines()
    start, end = mutant["location"]["start"], mutant["location"]["end"]
    before = lines[start["line"] - 1 : end["line"]]
    first, last = before[0][: start["column"] - 1], before[-1][end["column"] - 1 :]
    after = f"{first}{mutant['replacement']}{last}".splitlines()
    outer = next((line for line in reversed(lines[: start["line"]]) if re.match(r"\w", line)), "")
    name = re.search(r"(?:function\*?|const|let|class)\s+(\w+)", outer)
    told = [f"- {line.strip()}" for line in before] + [f"+ {line.strip()}" for line in after]
    return "\n".join([f"{module_of(file)} {name[1] if name else ''}".strip(), *told])


def told(files: dict[str, Any]) -> dict[str, str]:
    """Return what became of each mutant."""
    return {each["id"]: each["status"].lower() for content in files.values() for each in content["mutants"]}


def run(group: str, chosen: argparse.Namespace) -> Tried:
    """Return all mutants of a group but those that are left out, and what became of those that were tried."""
    configure(group, chosen.jobs)
    log, results = PLACE / f"{group}.log", PLACE / f"{group}-results.json"
    log.unlink(missing_ok=True)
    planted = mutants_of(ask(log, []))
    tried, known = to_try(planted, results, chosen)
    asked = [each.name for each in tried if each.name not in known]
    became = told(ask(log, asked))
    became.update(known)
    keep_results(results, tried, became)
    return planted, {each.name: became[each.name] for each in tried}


def main() -> None:
    """Mutate what is asked for, and print a table."""
    chosen = options(__doc__, GROUPS).parse_args()
    lay_out()
    tell(chosen.groups or GROUPS, lambda group: run(group, chosen), EQUAL, PLACE)


if __name__ == "__main__":
    main()
