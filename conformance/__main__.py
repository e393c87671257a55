"""Makes the kit's vectors anew, or reports which of them this runtime reproduces.

`python -m amused_edge.conformance make` or `... report [--json]`, from the root of the repository; elsewhere with the
folders of the kit and of the demo's bundles.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from amused_edge.conformance.all_sets import all_sets
from amused_edge.conformance.files import read, vector_file, write
from amused_edge.conformance.report import Report, SetReport
from amused_edge.conformance.vector_set import VectorSet
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.system.scripts import run


def make(kit: Path, sets: Sequence[VectorSet]) -> None:
    """Write sets anew.

    Raises
    ------
    OptionsError
        A bundle is missing; nothing is written then.
    """
    for one in sets:
        if (reason := one.missing()) is not None:
            raise OptionsError(f"the vectors {one.name} cannot be made: {reason}")
    for one in sets:
        write(one.make(), vector_file(kit, one.name))


def report(kit: Path, sets: Sequence[VectorSet]) -> Report:
    """Run sets through this runtime."""
    names = ("amused-edge", "numpy", "tokenizers", "onnxruntime")
    runtime = {"language": f"Python {platform.python_version()}", "system": platform.platform()}
    return Report(runtime | {name: version(name) for name in names}, [_reported(kit, one) for one in sets])


def _reported(kit: Path, one: VectorSet) -> SetReport:
    cases = read(vector_file(kit, one.name))["cases"]
    reason = one.missing()
    if reason is not None:
        return SetReport.skipped(one.name, len(cases), reason)
    return SetReport.of(one.name, [one.check(case) for case in cases])


def _chosen(names: Sequence[str], sets: Sequence[VectorSet]) -> list[VectorSet]:
    known = {one.name: one for one in sets}
    for name in names:
        if name not in known:
            raise OptionsError(f"{quoted(name)} is no set of vectors; choose from {', '.join(known)}")
    return [known[name] for name in names or known]


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make the conformance vectors, or check this runtime against them.")
    parser.add_argument("what", choices=("make", "report"))
    parser.add_argument("sets", nargs="*", help="only these sets")
    parser.add_argument("--kit", type=Path, default=Path("conformance"), help="folder of the kit")
    parser.add_argument("--demo", type=Path, default=Path("demo/bundle"), help="the demo's bundle")
    parser.add_argument("--recipes", type=Path, default=Path("build"), help="folder of demo-fp32, demo-fp16 and so on")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    chosen = parser.parse_args()
    sets = _chosen(chosen.sets, all_sets(chosen.demo, chosen.recipes))
    if chosen.what == "make":
        make(chosen.kit, sets)
        return
    found = report(chosen.kit, sets)
    print(json.dumps(found.to_dict(), indent=1) if chosen.json else "\n".join(found.lines()))
    raise SystemExit(int(found.failed))


if __name__ == "__main__":
    run(_main)
