"""Measures subjects in turns, round by round, and keeps every turn's record in the run's folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from amused_edge.benchmarks.execution.audit import Audit, Operator
from amused_edge.benchmarks.latency.record import TurnRecord
from amused_edge.benchmarks.latency.turn import TurnError, Work, audit_turn, cold_turn, warm_turn
from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.subjects.subject import SubjectSpec
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.stages import OnStage


@dataclass(frozen=True)
class LatencyOptions:
    """What is measured.

    Attributes
    ----------
    prompt, seed
        Of every picture.
    settings
        Of the loop, one or more: whole pictures are drawn with each.
    threads
        Of the engine, one or more; None leaves it to the engine.
    batches
        Pictures that are asked for at once, one or more numbers.
    rounds
        How often each subject has a turn; 5 or more give intervals worth the name.
    pictures, calls
        Whole pictures and calls of each stage in a turn, after a short picture and two calls that do not count.
    """

    prompt: str
    seed: int
    settings: tuple[SamplerSettings, ...]
    threads: tuple[int | None, ...] = (None,)
    batches: tuple[int, ...] = (1,)
    rounds: int = 5
    pictures: int = 1
    calls: int = 5

    def __post_init__(self) -> None:
        for name in ("settings", "threads", "batches"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise OptionsError(f"{name} is {quoted(values)}; give one or more, each once")
        for number in self.threads:
            if number is not None:
                whole_number("threads", number, minimum=1)
        for number in self.batches:
            whole_number("batch", number, minimum=1)
        GenerationOptions(seed=self.seed)
        for name in ("rounds", "pictures", "calls"):
            whole_number(name, getattr(self, name), minimum=1)


@dataclass(frozen=True)
class Turn:
    """One turn of a run: which subject, when, with what, and what came of it."""

    label: str
    round: int
    threads: int | None
    batch: int
    cold: bool
    record: TurnRecord = TurnRecord()  # noqa: RUF009


def measure_latency(
    specs: Sequence[SubjectSpec], options: LatencyOptions, run: RunFolder, on_turn: OnStage | None = None
) -> list[Turn]:
    """Give every subject its turns, except those whose records the folder already holds.

    In each round every subject has a turn before any has the next round's, so that what changes on the machine
    changes for all; who begins goes round, too. A subject that fails has its error as record, and no turn of the same
    kind again before the run is resumed.
    """
    plan = _plan(specs, options)
    done = sum(_succeeded(turn, run) for turn, _ in plan)
    failed: set[tuple[str, int | None, int]] = set()
    turns = []
    for turn, spec in plan:
        kind = (turn.label, turn.threads, turn.batch)
        if not _succeeded(turn, run):
            if kind not in failed:
                if on_turn is not None:
                    on_turn(f"{turn.label}, round {turn.round + 1} of {options.rounds}", done, len(plan))
                run.add(_key(turn), {"record": _take(turn, spec, options).to_dict()})
            done += 1
        if _key(turn) in run:
            record = TurnRecord.from_dict(run[_key(turn)]["record"])
            if record.error is not None:
                failed.add(kind)
            turns.append(replace(turn, record=record))
    return turns


def _succeeded(turn: Turn, run: RunFolder) -> bool:
    return _key(turn) in run and "error" not in run[_key(turn)]["record"]


def measure_precision(
    specs: Sequence[SubjectSpec], options: LatencyOptions, run: RunFolder, on_turn: OnStage | None = None
) -> tuple[dict[str, dict[str, Audit]], dict[str, str]]:
    """Audit every subject in a process of its own.

    Returns
    -------
    Label -> stage -> what it ran in, no stages where the engine does not tell; and label -> why an audit failed.
    """
    audits, failures = {}, {}
    for number, spec in enumerate(specs):
        key = f"audit, {spec.label}"
        if key not in run or "error" in run[key]["record"]:
            if on_turn is not None:
                on_turn(f"{spec.label}, what its graphs run in", number, len(specs))
            run.add(key, {"record": _audit(spec, options)})
        record = run[key]["record"]
        if "error" in record:
            failures[spec.label] = str(record["error"])
        audits[spec.label] = {
            stage: Audit(tuple(Operator(**fields) for fields in operators))
            for stage, operators in record.get("stages", {}).items()
        }
    return audits, failures


def _audit(spec: SubjectSpec, options: LatencyOptions) -> dict[str, Any]:
    threaded = replace(spec, arguments=_with_threads(spec.arguments, options.threads[0]))
    work = Work(options.prompt, options.seed, options.settings, 1, 1, 1)
    try:
        return {"stages": audit_turn(threaded, work)}
    except TurnError as error:
        return {"error": str(error)}


def _plan(specs: Sequence[SubjectSpec], options: LatencyOptions) -> list[tuple[Turn, SubjectSpec]]:
    """Return all turns in order, cold loads with the first threads and batch only."""
    plan = []
    for number in range(options.rounds):
        first = number % len(specs)
        for spec in [*specs[first:], *specs[:first]]:
            blank = Turn(spec.label, number, options.threads[0], options.batches[0], True)
            plan.append((blank, spec))
            plan += [
                (replace(blank, threads=threads, batch=batch, cold=False), spec)
                for threads in options.threads
                for batch in options.batches
            ]
    return plan


def _key(turn: Turn) -> str:
    kind = "cold" if turn.cold else "warm"
    return f"round {turn.round}, {turn.label}, threads {turn.threads}, batch {turn.batch}, {kind}"


def _take(turn: Turn, spec: SubjectSpec, options: LatencyOptions) -> TurnRecord:
    threaded = replace(spec, arguments=_with_threads(spec.arguments, turn.threads))
    work = Work(options.prompt, options.seed, options.settings, turn.batch, options.pictures, options.calls)
    try:
        return cold_turn(threaded) if turn.cold else warm_turn(threaded, work)
    except TurnError as error:
        return TurnRecord(error=str(error))


def _with_threads(arguments: dict[str, Any], threads: int | None) -> dict[str, Any]:
    """Return a subject's arguments with the number of threads of its engine."""
    return {**arguments, "engine": {**arguments.get("engine", {}), "threads": threads}}


def settings_of_run(specs: Sequence[SubjectSpec], options: LatencyOptions) -> dict[str, Any]:
    """Return everything that records depend on, for `RunFolder`; not the number of rounds, which may be raised."""
    settings = {"subjects": [spec.identity() for spec in specs], **asdict(options)}
    settings["settings"] = [each.to_dict() for each in options.settings]
    del settings["rounds"]
    return settings
