"""What the turns come to: pictures as sums of parts, beside those that were drawn whole."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.benchmarks.metrics.statistics import Ratio, Summary, ratio_over_rounds, summary
from amused_edge.benchmarks.rivals.parted import DECODER, DENOISER, PICTURE, SAMPLER, Part
from amused_edge.benchmarks.rivals.specs import OURS, Model, Use
from amused_edge.benchmarks.rivals.turn import PartRecord, Turn

Decoders = dict[tuple[str, int, str], Summary]
"""Engine, pixels and name of a decoder -> seconds of a call for one picture."""

Measured = dict[str, list[Turn]]
"""Label of a model -> its turns: the rounds' in order, then those of whole pictures."""


@dataclass(frozen=True)
class Figure:
    """So many pictures at once.

    Attributes
    ----------
    seconds
        Of all of them: a sum of parts, of each round that measured them.
    ratio
        To ours with as many pictures in the same rounds; None for ours itself.
    peak
        Bytes, see `peak_of_parts`.
    """

    batch: int
    seconds: tuple[float, ...]
    ratio: Ratio | None
    peak: int

    @property
    def summary(self) -> Summary:
        """Of the rounds' seconds."""
        return summary(self.seconds)


@dataclass(frozen=True)
class Row:
    """A model, used in one way, in one engine, with one decoder, for pictures of one size.

    Attributes
    ----------
    call, decoder_call
        Seconds of a call of the network for one picture, and of the decoder, see `decoders`.
    whole, whole_peak
        Seconds of a picture that was drawn whole, and its peak memory in bytes; None where none was.
    """

    use: Use
    engine: str
    side: int
    decoder: str
    call: Summary
    decoder_call: Summary
    figures: tuple[Figure, ...]
    whole: float | None
    whole_peak: int | None

    def figure(self, batch: int) -> Figure | None:
        """Return what so many pictures take."""
        return next((figure for figure in self.figures if figure.batch == batch), None)


def parts_seconds(use: Use, records: Sequence[PartRecord], decoder: float, batch: int) -> float | None:
    """Return the seconds of so many pictures at once: all calls of the network, and the decoder for each picture.

    None where the network was not measured.

    Parameters
    ----------
    decoder
        Seconds of one picture.
    """
    median = {record.part: float(np.median(record.seconds)) for record in records}
    denoiser = median.get(Part(DENOISER, use.branches * batch))
    if denoiser is None:
        return None
    return use.steps * (denoiser + median.get(Part(SAMPLER, batch), 0.0)) + batch * decoder


def decoders(models: Sequence[Model], measured: Measured) -> Decoders:
    """Return the calls of each decoder in all processes that had it: it is the same for all networks of an engine."""
    found: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for model in models:
        for turn in measured.get(model.spec.label, ()):
            for record in turn.records:
                if record.part.name == DECODER:
                    found[model.engine, model.side, record.part.decoder] += record.seconds
    return {place: summary(seconds) for place, seconds in found.items()}


def peak_of_parts(use: Use, records: Sequence[PartRecord], decoder: str, batch: int) -> int | None:
    """Return the most memory of so many pictures at once, in bytes; None where a part was not measured.

    That is the network's, with the decoder loaded beside it; or what the network leaves, and what the decoder adds to
    that when it is loaded and called.
    """
    found = {record.part: record for record in records}
    denoiser, last = found.get(Part(DENOISER, use.branches * batch)), found.get(Part(DECODER, 1, decoder))
    if denoiser is None or last is None:
        return None
    loaded = max(0, last.opened.total - last.before.total)
    return max(denoiser.peak.total + loaded, denoiser.after.total + last.peak.total - last.before.total)


def make_rows(models: Sequence[Model], measured: Measured, batches: Sequence[int]) -> list[Row]:
    """Return a row for each model, use and decoder of which one picture was measured."""
    rows = []
    calls = decoders(models, measured)
    ours = {model.side: _sums(model, model.uses[0], "", measured, calls) for model in models if model.engine == OURS}
    for model in models:
        for use in model.uses:
            for decoder in model.decoders:
                sums = _sums(model, use, decoder, measured, calls)
                baseline = None if model.engine == OURS else ours.get(model.side)
                turns = measured[model.spec.label]
                figures = tuple(_figures(use, decoder, sums, baseline, turns, batches))
                if figures and figures[0].batch == batches[0]:
                    call = calls[model.engine, model.side, decoder]
                    rows.append(_row(model, use, decoder, call, figures, turns))
    return rows


Sums = Callable[[int], list[float | None]]
"""Pictures at once -> seconds in each turn."""


def _sums(model: Model, use: Use, decoder: str, measured: Measured, calls: Decoders) -> Sums:
    call = calls.get((model.engine, model.side, decoder))

    def sums(batch: int) -> list[float | None]:
        if call is None:
            return []
        return [parts_seconds(use, turn.records, call.median, batch) for turn in measured[model.spec.label]]

    return sums


def _row(
    model: Model, use: Use, decoder: str, call: Summary, figures: tuple[Figure, ...], turns: Sequence[Turn]
) -> Row:
    def calls(part: Part) -> Summary:
        return summary([each for turn in turns for r in turn.records if r.part == part for each in r.seconds])

    wholes = [r for turn in turns for r in turn.records if r.part == Part(PICTURE, 1, decoder, use.label)]
    return Row(
        use,
        model.engine,
        model.side,
        decoder,
        calls(Part(DENOISER, use.branches)),
        call,
        figures,
        float(np.median([each for whole in wholes for each in whole.seconds])) if wholes else None,
        max(whole.peak.total for whole in wholes) if wholes else None,
    )


def _figures(
    use: Use, decoder: str, sums: Sums, baseline: Sums | None, turns: Sequence[Turn], batches: Sequence[int]
) -> Iterator[Figure]:
    for batch in batches:
        all_seconds = sums(batch)
        seconds = [value for value in all_seconds if value is not None]
        if not seconds:
            continue
        theirs = [] if baseline is None else baseline(batch)
        pairs = [(a, b) for a, b in zip(all_seconds, theirs, strict=False) if a is not None and b is not None]
        ratio = ratio_over_rounds([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None
        first = next(turn for turn, value in zip(turns, all_seconds, strict=True) if value is not None)
        peak = peak_of_parts(use, first.records, decoder, batch)
        if peak is not None:
            yield Figure(batch, tuple(seconds), ratio, peak)


def errors(measured: Measured) -> dict[str, str]:
    """Return label -> why parts of a model were not measured."""
    found = {}
    for label, turns in measured.items():
        for turn in turns:
            if turn.error is not None:
                last = turn.records[-1].part if turn.records else None
                behind = "" if last is None else f" behind {last.name} with {last.rows} rows"
                found[label] = f"{turn.error}{behind}"
    return found
