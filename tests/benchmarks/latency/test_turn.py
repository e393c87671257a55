"""One turn of a subject in a process of its own. Times are never compared with numbers: only which ones there are."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amused_edge.benchmarks.latency import turn
from amused_edge.benchmarks.latency.record import TurnRecord
from amused_edge.benchmarks.latency.turn import TurnError, Work, audit_turn, cold_turn, warm_turn
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings

Fake = Callable[..., SubjectSpec]
TWO = (SamplerSettings(steps=4, guidance_scale=2.5), SamplerSettings(steps=7, temperature=1.5, schedule="linear"))
WORK = Work("a \u5c0f \U0001f98a", seed=2**63, settings=TWO, batch=3, pictures=2, calls=4)
ONCE = replace(WORK, settings=TWO[:1], pictures=1, calls=1)
MB = 2**20


def asked(log: Path) -> list[str]:
    """What the subject was asked, without process numbers."""
    lines = [line.partition(": ")[2] for line in log.read_text(encoding="utf-8").splitlines()]
    return [line if not line.startswith("start") else "start" for line in lines]


# --- What is done and told.


def test_a_warm_turn_draws_with_all_settings_and_calls_the_stages(fake: Fake, log: Path) -> None:
    record = warm_turn(fake(), WORK)
    drawn = [(p.steps, p.guidance_scale, len(p.seconds)) for p in record.pictures]
    assert drawn == [(4, 2.5, 2), (7, 10.0, 2)]
    assert {name: len(seconds) for name, seconds in record.stages.items()} == {"denoiser": 4, "sampler": 4}
    assert record.ready is not None
    assert record.load is not None
    assert record.ready >= record.load >= 0
    picture = f"draw {WORK.prompt!r} steps {{}} guidance {{}} seed {WORK.seed} x {{}}"
    assert asked(log) == [
        *("start", "load"),
        picture.format(2, 2.5, 1),  # a short one that does not count, for guided settings
        *[picture.format(4, 2.5, 3)] * 2,
        *[picture.format(7, 10, 3)] * 2,
        *["stage x 3"] * 2 * (2 + 4),  # the first two calls of each do not count
        "close",
    ]


def test_no_picture_that_counts_follows_one_with_other_branches(fake: Fake, log: Path) -> None:
    """An engine may load a graph anew between them."""
    guided, unguided = SamplerSettings(steps=5), SamplerSettings(steps=5, guidance_scale=1.0)
    settings = (guided, unguided, replace(guided, steps=6), replace(guided, steps=7))
    warm_turn(fake(), replace(ONCE, settings=settings))
    drawn = [line.split() for line in asked(log) if line.startswith("draw")]
    pairs = [(int(line[line.index("steps") + 1]), line[line.index("guidance") + 1]) for line in drawn]
    assert pairs == [
        *[(2, "10"), (2, "1")],  # the first pictures
        *[(2, "10"), (5, "10")],
        *[(2, "1"), (5, "1")],
        *[(2, "10"), (6, "10"), (7, "10")],
    ]


def test_a_cold_turn_only_loads(fake: Fake, log: Path) -> None:
    cold_turn(fake())
    assert asked(log) == ["start", "load"]


def test_an_audit_turn_only_audits(fake: Fake, log: Path) -> None:
    assert audit_turn(fake(), WORK) == {}
    assert asked(log) == ["start", "audit"]


def test_the_peak_is_of_drawing_and_leaves_the_stages_out(fake: Fake) -> None:
    """Margins are wide: interpreters and allocators hold some memory of their own."""
    memory = warm_turn(fake(draw_bytes=40 * MB, stage_bytes=200 * MB), ONCE).memory
    assert memory is not None
    grown = memory.peak.total - memory.loaded.total  # the short picture and the timed one
    assert 75 * MB < grown < 150 * MB
    if memory.peak.anonymous is not None and memory.loaded.anonymous is not None:
        assert 75 * MB < memory.peak.anonymous - memory.loaded.anonymous < 150 * MB


# --- Cold or not.


def test_a_load_that_read_nothing_from_the_disk_was_not_cold(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "weights"
    with file.open("wb") as empty:
        empty.truncate(10**9)  # no byte of it is ever read; more than a few modules may weigh
    assert cold_turn(fake(files=(file,))) == TurnRecord()


def test_a_subject_without_files_has_no_cold_load(fake: Fake) -> None:
    assert cold_turn(fake()) == TurnRecord()


@pytest.mark.parametrize(
    ("dropped", "read", "cold"),
    [
        *[(True, 500, True), (True, 2000, True), (True, 499, False), (True, 0, False)],
        *[(True, None, False), (False, 1000, False)],
    ],
)
def test_a_load_is_cold_if_half_of_the_files_came_from_the_disk(
    dropped: bool, read: int | None, cold: bool, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(bytes(1000))
    event = {"event": "loaded", "imported": 13.0, "loaded": 15.5, "bytes_read": read}

    @contextlib.contextmanager
    def process(*_: Any) -> Iterator[tuple[Any, float]]:
        yield SimpleNamespace(stdout=io.StringIO(json.dumps(event) + "\n")), 10.0

    monkeypatch.setattr(turn, "_process", process)
    monkeypatch.setattr(turn, "drop_from_page_cache", lambda files: dropped)
    expected = TurnRecord(ready=5.5, load=2.5) if cold else TurnRecord()
    assert cold_turn(fake(files=(tmp_path / "weights",))) == expected


# --- Failures.


@pytest.mark.parametrize(
    ("place", "how", "words"),
    [
        ("load", "exit", "exit code 3"),
        ("draw", "raise", "ValueError: no luck in draw"),
        ("draw", "kill", "killed by SIGKILL (out of memory?)"),
        ("stage", "raise", "ValueError: no luck in stage"),
        ("stage", "kill", "killed by SIGKILL (out of memory?)"),
    ],
)
def test_a_subject_that_ends_early_is_an_error_with_its_last_words(
    place: str, how: str, words: str, fake: Fake
) -> None:
    with pytest.raises(TurnError) as failed:
        warm_turn(fake(fails=place, how=how), ONCE)
    assert str(failed.value) == words


@pytest.mark.parametrize("act", [cold_turn, lambda spec: audit_turn(spec, ONCE)], ids=["cold", "audit"])
def test_other_turns_fail_alike(act: Callable[[SubjectSpec], object], fake: Fake) -> None:
    place = "load" if act is cold_turn else "audit"
    with pytest.raises(TurnError, match=f"^ValueError: no luck in {place}$"):
        act(fake(fails=place, how="raise"))


def test_a_subject_that_cannot_be_imported_is_an_error(fake: Fake) -> None:
    with pytest.raises(TurnError, match="No module named 'nowhere'"):
        warm_turn(replace(fake(), target="nowhere:Subject"), ONCE)


def test_what_libraries_print_is_no_event(fake: Fake) -> None:
    record = warm_turn(fake(noisy=True), ONCE)
    assert len(record.pictures) == 1
    assert sorted(record.stages) == ["denoiser", "sampler"]


def test_what_libraries_print_does_not_hide_the_reason(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where stdout is no terminal, Python keeps back what is printed until the end, behind the error."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with pytest.raises(TurnError) as failed:
        warm_turn(fake(noisy=True, fails="draw", how="raise"), ONCE)
    assert str(failed.value) == "ValueError: no luck in draw"


PARENT = """
import sys
from amused_edge.benchmarks.latency.turn import cold_turn
from amused_edge.benchmarks.subjects.subject import SubjectSpec
cold_turn(SubjectSpec("a", "fake_subject:Fake", {"name": "a", "log": sys.argv[1], "fails": "load", "how": "hang"}))
"""


def test_an_interrupted_parent_leaves_no_child(fake: Fake, log: Path) -> None:
    fake()  # so that the parent's children find their module
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)], stderr=subprocess.PIPE, text=True)
    while not (log.exists() and "load" in log.read_text()):
        assert parent.poll() is None
        time.sleep(0.02)
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate()
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    child = int(log.read_text().split()[2])
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
