"""How near graphs come to what the engine's own products allow on the same machine at the same time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.execution.peaks import least_seconds
from amused_edge.benchmarks.latency.measure import Turn
from amused_edge.benchmarks.metrics.statistics import Summary, summary


@dataclass(frozen=True)
class Share:
    """A graph beside its limit.

    Attributes
    ----------
    peaks
        Precision -> operations a second of the engine's product, the median of all rounds.
    least
        Seconds that a call's products would take at each round's peaks.
    share
        `least` over the seconds that a call took, of each round.
    """

    label: str
    threads: int | None
    batch: int
    stage: str
    peaks: dict[str, float]
    least: Summary
    share: Summary


def shares(turns: Sequence[Turn], audits: Mapping[str, Mapping[str, Audit]]) -> tuple[Share, ...]:
    """Return the shares of all graphs whose audit and whose engine's products are known.

    Audits are of one picture; graphs do as many times the operations with more at once.
    """
    rounds: dict[tuple[str, int | None, int, str], list[tuple[dict[str, float], float, float]]] = defaultdict(list)
    for turn in turns:
        for stage, measured in turn.record.peaks.items():
            peaks = {precision: float(np.median(values)) for precision, values in measured.items()}
            audit = audits.get(turn.label, {}).get(stage)
            least = None if audit is None else least_seconds(audit, peaks)
            if least is not None:
                seconds = float(np.median(turn.record.stages[stage]))
                rounds[turn.label, turn.threads, turn.batch, stage].append((peaks, least * turn.batch, seconds))
    return tuple(
        Share(
            *key,
            {name: float(np.median([peaks[name] for peaks, _, _ in found])) for name in found[0][0]},
            summary([least for _, least, _ in found]),
            summary([least / seconds for _, least, seconds in found]),
        )
        for key, found in rounds.items()
    )
