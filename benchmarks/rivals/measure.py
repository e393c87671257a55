"""Measures models in turns, round by round, and whole pictures at the end; every turn's record is kept at once."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from amused_edge.benchmarks.report.run_folder import RunFolder
from amused_edge.benchmarks.rivals.parted import PICTURE, Part
from amused_edge.benchmarks.rivals.results import Measured, decoders, parts_seconds
from amused_edge.benchmarks.rivals.specs import Model
from amused_edge.benchmarks.rivals.turn import PartRecord, Turn, take_turn
from amused_edge.runtime.checks import whole_number
from amused_edge.runtime.errors import OptionsError, quoted
from amused_edge.runtime.stages import OnStage


@dataclass(frozen=True)
class RivalsOptions:
    """What is measured.

    Attributes
    ----------
    batches
        Pictures at once, the first of which has a turn in each round, the others in the first alone.
    rounds, calls
        Turns of each model, and calls of each part in one.
    whole_under
        Seconds: whole pictures are drawn, too, where a sum of parts predicts less.
    minutes
        No turn begins later; None for no end.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    rounds: int = 2
    calls: int = 2
    whole_under: float = 60.0
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not self.batches or len(set(self.batches)) != len(self.batches):
            raise OptionsError(f"batches are {quoted(self.batches)}; give one or more, each once")
        for number in self.batches:
            whole_number("batch", number, minimum=1)
        for name in ("rounds", "calls"):
            whole_number(name, getattr(self, name), minimum=1)


def settings_of_run(models: Sequence[Model], options: RivalsOptions) -> dict[str, Any]:
    """Return all that records depend on, for `RunFolder`."""
    settings = asdict(options)
    del settings["rounds"], settings["minutes"]
    return {"models": [{**model.spec.identity(), "engine": model.engine} for model in models], **settings}


def measure(
    models: Sequence[Model], options: RivalsOptions, run: RunFolder, on_turn: OnStage | None = None
) -> Measured | None:
    """Give every model its turns, except those whose records the folder holds; None if time was up before the end.

    Who begins a round goes round, too.
    """
    end = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    found: Measured = defaultdict(list)
    planned = list(_rounds(models, options))
    for pictures in (False, True):
        if pictures:
            planned = list(_pictures(models, options, found))
        for number, (key, model, parts) in enumerate(planned):
            if key not in run:
                if end is not None and time.monotonic() > end:
                    return None
                if on_turn is not None:
                    on_turn(key, number, len(planned))
                turn = take_turn(model.spec, parts, options.calls)
                run.add(key, {"records": [asdict(record) for record in turn.records], "error": turn.error})
            kept = run[key]
            records = tuple(PartRecord.from_dict(record) for record in kept["records"])
            found[model.spec.label].append(Turn(records, kept["error"]))
    return found


Planned = tuple[str, Model, list[Part]]


def _rounds(models: Sequence[Model], options: RivalsOptions) -> Iterator[Planned]:
    for number in range(options.rounds):
        first = number % len(models)
        batches = options.batches if number == 0 else options.batches[:1]
        for model in [*models[first:], *models[:first]]:
            yield f"round {number}, {model.spec.label}", model, model.parts(batches)


def _pictures(models: Sequence[Model], options: RivalsOptions, found: Measured) -> Iterator[Planned]:
    """Yield whole pictures with each decoder, in processes of their own, so that their memory is theirs."""
    calls = decoders(models, found)
    for model in models:
        for decoder in model.decoders:
            records, call = found[model.spec.label][0].records, calls.get((model.engine, model.side, decoder))
            sums = {use: None if call is None else parts_seconds(use, records, call.median, 1) for use in model.uses}
            quick = [use for use, seconds in sums.items() if seconds is not None and seconds < options.whole_under]
            if quick:
                yield f"{PICTURE}, {model.spec.label}, {decoder}", model, model.pictures(decoder, quick)
