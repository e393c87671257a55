"""`amused-edge bench import`: from results of several devices to one folder with results and report."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from amused_edge.benchmarks.device.page import page
from amused_edge.benchmarks.device.results import DeviceResults, read_results
from amused_edge.benchmarks.report.run_folder import RunFolder, is_new
from amused_edge.benchmarks.report.write import report_files
from amused_edge.runtime.errors import OptionsError

_NOT_SHOWN = ("shares_of_the_limit", "audits")
"""Members that the report of the run itself shows, and that are not read here."""


def import_results(files: Sequence[Path], out: Path) -> list[DeviceResults]:
    """Read files, and write `results.json`, `report.md` and `report.html` that show them beside each other.

    Parameters
    ----------
    files
        One or more `results.json` of latency benchmarks, by `bench latency` or by a runtime on its device.
    out
        A new folder, an empty one, or that of such a command that was interrupted.

    Raises
    ------
    OptionsError
        A file is not such, or names one device and bundle as another does; nothing is written.
    OutputExistsError
        `out` holds something else, or is complete.
    """
    if not files:
        raise OptionsError("there is no file; give results.json of one latency benchmark or more")
    is_new(out)  # before files are read
    runs = distinct_devices([read_results(file) for file in files])
    folder = RunFolder(out, {"command": "import", "files": [file.name for file in files]})
    folder.finish(devices_report(runs, "import"))
    return runs


def devices_report(runs: Sequence[DeviceResults], command: str) -> dict[str, str | bytes]:
    """Return the files of a report that shows runs beside each other."""
    shown = [{name: value for name, value in run.content.items() if name not in _NOT_SHOWN} for run in runs]
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return report_files("devices", {"made": made, "command": command, "runs": shown}, page(runs))


def distinct_devices(runs: list[DeviceResults]) -> list[DeviceResults]:
    """Return runs with "(2)", "(3)" behind devices that came before: a phone may be measured more than once."""
    counts: dict[str, int] = {}
    found = []
    for run in runs:
        name = run.device.device
        counts[name] = counts.get(name, 0) + 1
        named = name if counts[name] == 1 else f"{name} ({counts[name]})"
        found.append(replace(run, device=replace(run.device, device=named)))
    return found
