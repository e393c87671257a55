"""Makes the kit's vectors anew, or reports which of them this runtime reproduces.

`python -m amused_edge.conformance make` or `... report [--json]`, from the root of the repository; elsewhere with the
folders of the kit and of the demo's bundle.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

from amused_edge.conformance.all_sets import all_sets
from amused_edge.conformance.files import read, vector_file, write
from amused_edge.conformance.report import Report, SetReport
from amused_edge.runtime.system.scripts import run


def make(kit: Path, bundle: Path) -> None:
    """Write every set anew."""
    for one in all_sets(bundle):
        write(one.make(), vector_file(kit, one.name))


def report(kit: Path, bundle: Path) -> Report:
    """Run every set through this runtime."""
    names = ("amused-edge", "numpy", "tokenizers", "onnxruntime")
    runtime = {"language": f"Python {platform.python_version()}", "system": platform.platform()}
    found = Report(runtime | {name: version(name) for name in names})
    for one in all_sets(bundle):
        cases = read(vector_file(kit, one.name))["cases"]
        found.sets.append(SetReport.of(one.name, [one.differences(case) for case in cases]))
    return found


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make the conformance vectors, or check this runtime against them.")
    parser.add_argument("what", choices=("make", "report"))
    parser.add_argument("--kit", type=Path, default=Path("conformance"), help="folder of the kit")
    parser.add_argument("--demo", type=Path, default=Path("demo/bundle"), help="the demo's bundle")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    chosen = parser.parse_args()
    if chosen.what == "make":
        make(chosen.kit, chosen.demo)
        return
    found = report(chosen.kit, chosen.demo)
    print(json.dumps(found.to_dict(), indent=1) if chosen.json else "\n".join(found.lines()))
    raise SystemExit(int(found.failed))


if __name__ == "__main__":
    run(_main)
