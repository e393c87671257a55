"""Turns of models, and what they come to, against sums by hand. Times are never compared with numbers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amused_edge.benchmarks.machine.memory import Memory
from amused_edge.benchmarks.report.markdown import to_markdown
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.rivals import measure as measuring
from amused_edge.benchmarks.rivals import results
from amused_edge.benchmarks.rivals.measure import RivalsOptions, measure, settings_of_run
from amused_edge.benchmarks.rivals.models import DECODERS
from amused_edge.benchmarks.rivals.page import page
from amused_edge.benchmarks.rivals.parted import DECODER, DENOISER, PICTURE, SAMPLER, Ours, Part
from amused_edge.benchmarks.rivals.specs import DIFFUSERS, OURS, Model, Use
from amused_edge.benchmarks.rivals.turn import PartRecord, Turn, take_turn
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.sampling.options import SamplerSettings

MB = 2**20
NOTHING = Memory(0, None, None)
MACHINE: Any = SimpleNamespace(line=lambda: "A machine.")


def record(part: Part, seconds: float, before: int = 0, opened: int = 0, peak: int = 0, after: int = 0) -> PartRecord:
    memories = (Memory(size, None, None) for size in (before, opened, peak, after))
    return PartRecord(part, [seconds], *memories)


def spec(label: str, **arguments: Any) -> SubjectSpec:
    return SubjectSpec(label, "fake_parted:FakeParted", arguments, (), {"kind": "fake"})


OUR_MODEL = Model(spec("ours"), OURS, 512, (Use("aMUSEd-512, 12 steps", 12, 2),), ("",), sampler=True)
RIVAL = Model(spec("lcm"), DIFFUSERS, 512, (Use("LCM, 4 steps", 4, 1), Use("guided", 3, 2)), DECODERS)
SECONDS = {DENOISER: 2.0, SAMPLER: 0.5, DECODER: 1.0, PICTURE: 50.0}


@pytest.fixture
def parted(fake: Callable[..., Any]) -> Callable[..., SubjectSpec]:
    fake()  # so that children find the module beside its own
    return spec


def test_a_turn_tells_what_each_part_takes(parted: Callable[..., SubjectSpec]) -> None:
    parts = [Part(DENOISER, 1), Part(DENOISER, 2), Part(DECODER, 1, "a"), Part(DECODER, 1, "b")]
    turn = take_turn(parted("a", call_mb=40, decoder_mb=60), parts, calls=3)
    assert turn.error is None
    assert [each.part for each in turn.records] == parts
    assert all(len(each.seconds) == 3 and min(each.seconds) > 0 for each in turn.records)
    one, two, *decoders = turn.records
    for each, size in ((one, 40), (two, 80)):  # the second peak is not the first's
        assert each.peak.total - each.opened.total == pytest.approx(size * MB, abs=10 * MB)
        assert each.after.total - each.opened.total < 10 * MB
    for each in decoders:  # the first is gone when the second comes
        assert each.opened.total - each.before.total == pytest.approx(60 * MB, abs=10 * MB)
        assert each.before.total - one.before.total < 10 * MB
    assert PartRecord.from_dict(
        {
            "part": {"name": DENOISER, "rows": 1},
            "seconds": [1.0],
            **dict.fromkeys(("before", "opened", "peak", "after"), vars(NOTHING)),
        }
    ) == record(Part(DENOISER, 1), 1.0)


def test_ours_is_asked_for_as_many_rows(fake: Callable[..., SubjectSpec], log: Path) -> None:
    """Six rows of a guided network are three pictures."""
    ours = fake("ours")
    settings = SamplerSettings(steps=5, guidance_scale=2.5, temperature=(2.0, 0.0))
    subject = Ours(ours.target, ours.arguments, "a fox", json.loads(json.dumps(settings.to_dict())), {"threads": 2})
    subject.load()
    for part in (Part(DENOISER, 6), Part(SAMPLER, 4), Part(PICTURE, 1)):
        subject.part(part)()
    told = [line.partition(": ")[2] for line in log.read_text().splitlines()[-4:]]
    assert told == ["load", "stage x 3", "stage x 4", "draw 'a fox' steps 5 guidance 2.5 seed 0 x 1"]


@pytest.mark.parametrize(("value", "words"), [(float("nan"), "not finite"), (1e-39, "not normal")])
def test_numbers_that_distort_times_end_a_turn(value: float, words: str, parted: Callable[..., SubjectSpec]) -> None:
    turn = take_turn(parted("a", bad={"b": value}), [Part(DECODER, 1, "a"), Part(DECODER, 1, "b")], calls=1)
    assert [each.part.decoder for each in turn.records] == ["a"]
    assert turn.error is not None
    assert words in turn.error


class Machine:
    """In place of processes: notes who has a turn, and answers with `SECONDS`, or with another speed of a model."""

    def __init__(self, **speeds: float) -> None:
        self.turns: list[tuple[str, list[Part]]] = []
        self.speeds = speeds

    def __call__(self, model: SubjectSpec, parts: list[Part], calls: int) -> Turn:
        self.turns.append((model.label, list(parts)))
        speed = self.speeds.get(model.label, 1.0)
        return Turn(tuple(record(part, SECONDS[part.name] * part.rows / speed, peak=10**9) for part in parts))


def run(path: Path, options: RivalsOptions, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(measuring, "take_turn", machine)
    models = [OUR_MODEL, RIVAL]
    return measure(models, options, RunFolder(path, settings_of_run(models, options)))


def test_models_take_turns_and_whole_pictures_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    options = RivalsOptions((1, 4), rounds=2, whole_under=10)
    assert run(tmp_path / "run", options, machine, monkeypatch) is not None
    (_, first), (_, parts), *_ = machine.turns
    assert [label for label, _ in machine.turns] == ["ours", "lcm", "lcm", "ours", "lcm", "lcm"]
    assert first == [Part(DENOISER, 2), Part(DENOISER, 8), Part(SAMPLER, 1), Part(SAMPLER, 4), Part(DECODER, 1)]
    assert parts == [*(Part(DENOISER, n) for n in (1, 2, 4, 8)), *(Part(DECODER, 1, name) for name in DECODERS)]
    assert machine.turns[2][1] == [Part(DENOISER, 1), Part(DENOISER, 2), *parts[-2:]]  # the second round: one picture
    # 4 x 2 + 1 s is less than 10; 3 x 4 + 1 is not, and neither is ours
    assert [parts for _, parts in machine.turns[4:]] == [[Part(PICTURE, 1, name, "LCM, 4 steps")] for name in DECODERS]


def test_a_run_goes_on_where_its_time_was_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    options = RivalsOptions((1,), rounds=1, whole_under=0, minutes=1)
    clock = iter([0.0, 59.0, 61.0])
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        assert run(tmp_path / "run", options, machine, monkeypatch) is None
    assert [label for label, _ in machine.turns] == ["ours"]
    assert run(tmp_path / "run", replace(options, minutes=None), machine, monkeypatch) is not None
    assert [label for label, _ in machine.turns] == ["ours", "lcm"]


def test_rows_are_sums_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = RivalsOptions((1, 4), rounds=2, whole_under=100)
    measured = run(tmp_path / "run", options, Machine(lcm=2.0), monkeypatch)
    rows = results.make_rows([OUR_MODEL, RIVAL], measured, options.batches)
    assert [(row.use.label, row.decoder) for row in rows] == [
        ("aMUSEd-512, 12 steps", ""),
        *[("LCM, 4 steps", name) for name in DECODERS],
        *[("guided", name) for name in DECODERS],
    ]
    ours, lcm, _, guided, _ = rows
    assert [figure.seconds for figure in ours.figures] == [(12 * 4.5 + 1,) * 2, (4 * 55,)]
    assert [figure.seconds for figure in lcm.figures] == [(4.5, 4.5), (18,)]
    assert [figure.seconds for figure in guided.figures] == [(6.5, 6.5), (26,)]
    ratio = lcm.figures[0].ratio
    assert ratio is not None
    assert (ratio.estimate, ratio.rounds) == (4.5 / 55, 2)
    assert (ours.whole, lcm.whole, ours.figures[0].ratio) == (50.0, 25.0, None)
    text = to_markdown(page(rows, options, MACHINE, {"bk": "killed"}, 2))
    assert "with one picture, in every round, with the ratio of time: LCM, 4 steps, diffusers, float32, full" in text
    assert "| LCM, 4 steps | 1024 | 0.32 | 1.77 | 0.60 | 1.76 |" in text
    assert "| bk | **killed** |" in text


def test_the_peak_is_the_networks_or_the_decoders() -> None:
    use, network, decoder = Use("a", 4, 1), Part(DENOISER, 1), Part(DECODER, 1, "vae")
    small = record(decoder, 1, before=900, opened=920, peak=950)
    for peak, expected in ((1000, 1020), (830, 850)):  # 20 of weights beside the network; 50 on the 800 it leaves
        found = [record(network, 1, peak=peak, after=800), small]
        assert results.peak_of_parts(use, found, "vae", 1) == expected


def test_what_failed_is_told_with_the_part_before_it() -> None:
    turn = Turn((record(Part(DENOISER, 8), 1.0),), "killed by SIGKILL (out of memory?)")
    assert results.errors({"a": [turn], "b": [Turn(())]}) == {
        "a": "killed by SIGKILL (out of memory?) behind denoiser with 8 rows"
    }
    assert results.parts_seconds(Use("a", 1, 2), turn.records, 1.0, 8) is None
    assert results.peak_of_parts(Use("a", 1, 1), turn.records, "vae", 8) is None


def test_a_decoder_takes_what_it_takes_beside_all_networks() -> None:
    other = Model(spec("other"), DIFFUSERS, 512, (Use("other", 1, 1),), DECODERS)
    elsewhere = Model(spec("elsewhere"), DIFFUSERS, 256, (Use("other", 1, 1),), DECODERS)
    part = Part(DECODER, 1, "vae")
    measured = {
        name: [Turn((record(Part(DENOISER, 1), 1.0), record(part, seconds)))]
        for name, seconds in (("lcm", 2.0), ("other", 4.0), ("elsewhere", 9.0))
    }
    rows = results.make_rows([RIVAL, other, elsewhere], measured, [1])
    assert [(row.use.label, row.figures[0].seconds) for row in rows] == [
        ("LCM, 4 steps", (4 * 1 + 3.0,)),
        ("other", (1 + 3.0,)),
        ("other", (1 + 9.0,)),
    ]
