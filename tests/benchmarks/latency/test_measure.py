"""Turns in order: who begins, what is kept, what is not tried again. And one whole run with processes."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amused_edge.benchmarks.latency import measure
from amused_edge.benchmarks.latency.bench import bench_latency
from amused_edge.benchmarks.latency.measure import LatencyOptions, Turn, measure_latency, measure_precision
from amused_edge.benchmarks.latency.record import TurnRecord
from amused_edge.benchmarks.latency.turn import TurnError, Work
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.errors import GraphError, OptionsError, OutputExistsError
from amused_edge.runtime.sampling.options import SamplerSettings
from tests.support.files import read_json

Fake = Callable[..., SubjectSpec]
SETTINGS = (SamplerSettings(steps=3),)
WARM = TurnRecord(ready=1.0, load=0.5)


def options(**changes: Any) -> LatencyOptions:
    return LatencyOptions(**{"prompt": "a fox", "seed": 0, "settings": SETTINGS, "rounds": 2, "calls": 1, **changes})


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every turn that is taken, without processes; a subject that `fails` does so in its warm turns, from then on."""
    turns: list[tuple[Any, ...]] = []

    def warm(spec: SubjectSpec, work: Work) -> TurnRecord:
        turns.append((spec.label, "warm", spec.arguments["engine"]["threads"], work.batch))
        if spec.arguments.get("fails"):
            raise TurnError("no luck")
        return WARM

    def cold(spec: SubjectSpec) -> TurnRecord:
        turns.append((spec.label, "cold", spec.arguments["engine"]["threads"]))
        return TurnRecord()

    monkeypatch.setattr(measure, "warm_turn", warm)
    monkeypatch.setattr(measure, "cold_turn", cold)
    return turns


def run_in(folder: Path, specs: list[SubjectSpec], chosen: LatencyOptions, **more: Any) -> list[Turn]:
    return measure_latency(specs, chosen, RunFolder(folder, {}), **more)


# --- Order.


def test_subjects_take_turns_and_who_begins_goes_round(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    run_in(tmp_path / "run", [fake("a"), fake("b"), fake("c")], options(rounds=4))
    assert [label for label, kind, *_ in taken if kind == "warm"] == [*"abc", *"bca", *"cab", *"abc"]
    assert [turn[:2] for turn in taken[:4]] == [("a", "cold"), ("a", "warm"), ("b", "cold"), ("b", "warm")]


def test_threads_and_batches_are_all_tried_cold_loads_once(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    chosen = options(rounds=1, threads=(None, 2), batches=(1, 3))
    turns = run_in(tmp_path / "run", [fake("a")], chosen)
    warm = [("a", "warm", threads, batch) for threads in (None, 2) for batch in (1, 3)]
    assert taken == [("a", "cold", None), *warm]
    assert [(turn.threads, turn.batch, turn.cold) for turn in turns] == [
        *[(None, 1, True), (None, 1, False), (None, 3, False)],
        *[(2, 1, False), (2, 3, False)],
    ]


def test_progress_counts_turns(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    seen: list[tuple[str, int, int]] = []
    run_in(tmp_path / "run", [fake("a"), fake("b")], options(), on_turn=lambda *what: seen.append(what))
    assert [(done, total) for _, done, total in seen] == [(done, 8) for done in range(8)]
    assert seen[0][0] == "a, round 1 of 2"


# --- Failures.


def test_who_fails_is_not_tried_again_and_the_others_are(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    seen: list[tuple[int, int]] = []
    turns = run_in(
        tmp_path / "run",
        [fake("a"), fake("bad", fails="draw"), fake("c")],
        options(rounds=3),
        on_turn=lambda _, done, total: seen.append((done, total)),
    )
    assert [label for label, kind, *_ in taken if kind == "warm"] == ["a", "bad", "c", "c", "a", "c", "a"]
    assert [turn.record for turn in turns if turn.label == "bad" and not turn.cold] == [TurnRecord(error="no luck")]
    done = [number for number, _ in seen]
    assert done == sorted(done)
    assert {total for _, total in seen} == {18}


def test_turns_that_a_failure_spares_are_done(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    """Else the estimate of what is left would be of turns that never come."""
    seen: list[int] = []
    specs = [fake("bad", fails="draw"), fake("b")]
    run_in(tmp_path / "run", specs, options(rounds=3), on_turn=lambda _, done, total: seen.append(total - done))
    assert seen[-1] == 1  # the last turn itself


def test_a_failure_with_one_number_of_threads_is_no_failure_with_another(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warm(spec: SubjectSpec, work: Work) -> TurnRecord:
        if spec.arguments["engine"]["threads"] == 2:
            raise TurnError("no luck")
        return WARM

    monkeypatch.setattr(measure, "warm_turn", warm)
    monkeypatch.setattr(measure, "cold_turn", lambda spec: TurnRecord())
    turns = run_in(tmp_path / "run", [fake("a")], options(threads=(1, 2)))
    assert [(turn.record.error is not None, turn.threads) for turn in turns if not turn.cold] == [
        *[(False, 1), (True, 2), (False, 1)]
    ]


# --- Going on.


def test_an_interrupted_run_goes_on_where_it_stopped(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    specs = [fake("a"), fake("bad", fails="draw"), fake("c")]

    def stop(_: str, done: int, __: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "run", specs, options(), on_turn=stop)
    assert len(taken) == 5
    turns = run_in(tmp_path / "run", specs, options())
    in_two, taken[:] = Counter(taken), []
    assert run_in(tmp_path / "other", specs, options()) == turns
    # Nothing was measured twice; what failed was tried once more.
    assert in_two - Counter(taken) == Counter([("bad", "warm", None, 1)])


def test_a_whole_run_with_processes(fake: Fake, log: Path, tmp_path: Path) -> None:
    """Interrupted in the middle; a process for each turn and audit in all, but none again for what was killed."""
    specs = [fake("a"), fake("killed", fails="draw", how="kill"), fake("untold", fails="audit", how="raise")]
    out = tmp_path / "run"

    def stop(_: str, done: int, __: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_latency(specs, options(), out, stop)
    assert sorted(path.name for path in out.iterdir()) == ["records.jsonl", "settings.json"]
    assert len((out / "records.jsonl").read_text().splitlines()) == 3
    result = bench_latency(specs, options(), out)
    lines = log.read_text().splitlines()
    started = {spec.label: sum(line.startswith(f"{spec.label}: start") for line in lines) for spec in specs}
    assert started == {"a": 5, "killed": 3, "untold": 5}
    assert [(f.label, f.reason) for f in result.failures] == [
        ("killed", "killed by SIGKILL (out of memory?)"),
        ("untold", "its audit failed: ValueError: no luck in audit"),
    ]
    names = {path.name for path in out.iterdir()}
    assert names >= {"settings.json", "records.jsonl", "results.json", "report.md", "report.html", "pictures.svg"}
    found = read_json(out / "results.json")
    assert (found["kind"], found["schema_version"]) == ("latency", 1)
    pictures = {each["label"]: each for each in found["timings"] if each["part"] == "picture"}
    assert {label: each["seconds"]["count"] for label, each in pictures.items()} == {"a": 2, "untold": 2}
    assert pictures["a"]["ratio"] == {"estimate": 1.0, "low": 1.0, "high": 1.0, "rounds": 2}
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "| killed |  | 1 | **killed by SIGKILL (out of memory?)** |" in page
    with pytest.raises(OutputExistsError, match="holds a complete run"):
        bench_latency(specs, options(), out)


def test_loads_alone_are_no_result(
    fake: Fake, tmp_path: Path, taken: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for pictures is told that there is none, though each load went well."""
    monkeypatch.setattr(measure, "cold_turn", lambda spec: TurnRecord(ready=2.0, load=1.0))
    with pytest.raises(GraphError, match="bad: no luck"):
        bench_latency([fake("bad", fails="draw")], options(), tmp_path / "run")


def test_where_nothing_can_be_measured_there_is_no_result(fake: Fake, tmp_path: Path, taken: list[Any]) -> None:
    with pytest.raises(GraphError, match="nothing could be measured; bad: no luck"):
        bench_latency([fake("bad", fails="draw")], options(), tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()


def test_an_audit_is_kept_and_its_failure_too(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operators = [{"name": "MatMul", "precision": "float32", "nodes": 2, "seconds": 0.5, "product": True}]

    def audit(spec: SubjectSpec, _: Work) -> dict[str, Any]:
        if spec.label == "bad":
            raise TurnError("no luck")
        return {"denoiser": operators}

    monkeypatch.setattr(measure, "audit_turn", audit)
    folder = RunFolder(tmp_path / "run", {})
    audits, failures = measure_precision([fake("a"), fake("bad")], options(), folder)
    assert audits["a"]["denoiser"].shares() == {"float32": 1.0}
    assert audits["bad"] == {}
    asked = []
    monkeypatch.setattr(measure, "audit_turn", lambda spec, work: asked.append(spec.label) or audit(spec, work))
    assert measure_precision([fake("a"), fake("bad")], options(), RunFolder(tmp_path / "run", {})) == (audits, failures)
    records = [json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    assert records[1]["record"] == {"error": "no luck"}
    assert asked == ["bad"]  # only what failed is tried again


# --- Options.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"pictures": 0}, "pictures is 0"),
        ({"calls": 1.5}, r"calls is 1\.5"),
        ({"settings": ()}, "settings is"),
        ({"settings": SETTINGS * 2}, "each once"),
        ({"threads": (1, 1)}, "each once"),
        ({"threads": (0,)}, "threads is 0"),
        ({"threads": ()}, "give one or more"),
        ({"batches": (2, 0)}, "batch is 0"),
        ({"batches": (2, 2)}, "each once"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, r"below 2\^64"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        options(**changes)
