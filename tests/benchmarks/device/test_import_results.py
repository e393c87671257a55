"""Results of devices: what is read, what is refused, what stands in the report. The schema agrees with the reading."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from amused_edge.benchmarks.device.bench import import_results
from amused_edge.benchmarks.device.results import parse_results
from amused_edge.runtime.errors import OptionsError, OutputExistsError
from tests.support.device_results import device_results
from tests.support.files import read_json
from tests.support.paths import ROOT

SCHEMA = read_json(ROOT / "benchmarks" / "device" / "results.schema.json")

Edit = Callable[[dict[str, Any]], Any]


def conforms(results: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(results))


def test_a_phone_stands_beside_a_desktop(tmp_path: Path) -> None:
    phone, desktop = device_results(), device_results(device=None)
    desktop["environment"] = {**desktop["environment"], "cpu": "Some CPU", "python": "3.11"}
    desktop |= {"shares_of_the_limit": [{"any": "thing"}], "audits": {"w8": {}}, "golden": [], "course": []}
    del desktop["environment"]["runtime"]
    files = [tmp_path / "phone.json", tmp_path / "desktop.json"]
    for file, content in zip(files, (phone, desktop), strict=True):
        file.write_text(json.dumps(content))
    import_results(files, tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "| Phone: w8 | 12 | 2 | 4 | 1 | 2.00 s (1.50–2.50) |" in report
    assert "| Some CPU: w8 | 12 |" in report
    assert "severe, 44.5 °C" in report
    assert "Phone: some CPU of a phone, 8 cores, 7.5 GiB; Android 16; Kotlin, amused-edge 0.1.0; battery 90 %." in (
        report
    )
    results = read_json(tmp_path / "out" / "results.json")
    assert (results["kind"], results["runs"][0]) == ("devices", phone)
    assert "audits" not in results["runs"][1]
    with pytest.raises(OutputExistsError, match="complete run"):
        import_results(files, tmp_path / "out")


def test_the_same_device_twice_has_two_names(tmp_path: Path) -> None:
    file = tmp_path / "phone.json"
    file.write_text(json.dumps(device_results()))
    assert [run.device.device for run in import_results([file, file], tmp_path / "out")] == ["Phone", "Phone (2)"]


def put(*path: Any, value: Any) -> Edit:
    def edit(results: dict[str, Any]) -> None:
        place: Any = results
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return edit


def drop(*path: Any) -> Edit:
    def edit(results: dict[str, Any]) -> None:
        place: Any = results
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return edit


DAMAGED: list[tuple[Edit, str]] = [
    (put("format", value="other"), "'other'"),
    (put("kind", value="quality"), "'quality'"),
    (put("schema_version", value=2), "version 2"),
    (put("rounds", value=0), "rounds is 0"),
    (put("rounds", value=True), "'rounds'"),
    (drop("prompt"), "'prompt'"),
    (put("seed", value=-1), "seed is -1"),
    (put("seed", value=2**64), "below 2^64"),
    (put("environment", "cores", value=0), "cores is 0"),
    (put("environment", "memory", value="8 GB"), "'8 GB'"),
    (drop("environment", "runtime"), "'python'"),
    (put("environment", "packages", value={"a": 1}), "packages"),
    (put("environment", "flags", value=[1]), "flags holds 1"),
    (put("subjects", 0, "bytes", value={"denoiser": -1}), "denoiser is -1"),
    (put("settings", 0, "steps", value=0), "steps is 0"),
    (put("settings", 0, "other", value=1), "'other'"),
    (put("settings", value=[]), "lacks subjects, settings"),
    (put("threads", value=[0]), "threads holds 0"),
    (put("timings", 0, "part", value="lunch"), "'lunch'"),
    (put("timings", 0, "other", value=1), "'other'"),
    (put("timings", 0, "rounds", value=[]), "rounds"),
    (put("timings", 0, "seconds", "median", value=-1.0), "median is -1"),
    (put("timings", 0, "seconds", "count", value=0), "count is 0"),
    (put("timings", 0, "cold", value=None), "'cold'"),
    (put("footprints", 0, "peak", "total", value=1.5), "'total'"),
    (put("footprints", 0, "peak", "swap", value=1), "'swap'"),
    (drop("failures"), "'failures'"),
    (put("golden", 0, "reproduced", value="yes"), "'reproduced'"),
    (put("golden", 0, "logit_error", value=None), "'logit_error'"),
    (put("course", 0, "celsius", value=-300), "celsius is -300"),
    (drop("course", 0, "thermal"), "'thermal'"),
]
"""What schema and reading refuse, and a word that the error has."""

INCONSISTENT: list[tuple[Edit, str]] = [
    (put("made", value="yesterday"), "'yesterday'"),
    (put("timings", 0, "seconds", "p10", value=2.2), "must rise"),
    (put("timings", 0, "rounds", value=[2.0] * 9), "rounds"),
    (put("timings", 0, "rounds", value=[99.0]), "rounds"),
    (put("timings", 0, "steps", value=None), "steps None"),
    (put("timings", 0, "steps", value=11), "11 steps"),
    (put("timings", 0, "label", value="w4"), "'w4'"),
    (put("timings", 0, "threads", value=2), "figures of 'w8'"),
    (put("golden", 0, "label", value="w4"), "'w4'"),
    (put("course", 0, "label", value="w4"), "'w4'"),
    (lambda results: results["subjects"].append(results["subjects"][0]), "subjects holds something twice"),
    (lambda results: results["timings"].append(results["timings"][0]), "timings holds something twice"),
]
"""What only the reading can refuse."""


@pytest.mark.parametrize(("edit", "said"), DAMAGED + INCONSISTENT)
def test_what_is_not_whole_is_refused(edit: Edit, said: str) -> None:
    results = copy.deepcopy(device_results())
    edit(results)
    with pytest.raises(OptionsError) as refused:
        parse_results(json.dumps(results), "phone.json")
    assert said in str(refused.value)
    assert "phone.json" in str(refused.value)
    assert conforms(results) == ((edit, said) in INCONSISTENT)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', "[" * 100_000, "1" * 5000], ids=range(7)
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(OptionsError, match=r"phone\.json"):
        parse_results(text, "phone.json")


def test_nothing_is_written_for_a_file_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(device_results()))
    (tmp_path / "bad.json").write_bytes(b"\xff")
    for files in ([], [tmp_path / "good.json", tmp_path / "bad.json"], [tmp_path / "missing.json"]):
        with pytest.raises(OptionsError):
            import_results(files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_schema_is_one_and_the_example_is_conforming() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert conforms(device_results())
    parse_results(json.dumps(device_results()))


def test_an_interrupted_import_is_done_again(tmp_path: Path) -> None:
    """The folder that a full disk or a kill left was in the way of the same command."""
    file = tmp_path / "phone.json"
    file.write_text(json.dumps(device_results()), encoding="utf-8")
    out = tmp_path / "out"
    import_results([file], out)
    whole = sorted(path.name for path in out.iterdir())
    (out / "results.json").unlink()  # written last
    (out / "report.html").write_text("half")
    import_results([file], out)
    assert sorted(path.name for path in out.iterdir()) == whole
    assert (out / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    with pytest.raises(OutputExistsError, match="complete"):
        import_results([file], out)
