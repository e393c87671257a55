"""Times, memory and failures of a results file."""

from amused_edge.benchmarks.device.fields import finite, only, optional_finite, optional_whole, text, whole
from amused_edge.benchmarks.latency.page import STAGES
from amused_edge.benchmarks.latency.results import FIRST, LOAD, PICTURE, READY, Failure, Footprint, Timing
from amused_edge.benchmarks.machine.memory import Memory
from amused_edge.benchmarks.metrics.statistics import Ratio, Summary
from amused_edge.runtime.bundle.json_fields import Fields
from amused_edge.runtime.errors import OptionsError, quoted

PARTS = (READY, LOAD, FIRST, PICTURE, *STAGES)
_KIND = frozenset({"label", "threads", "batch"})
_TIMING = _KIND | {"part", "cold", "steps", "guidance_scale", "seconds", "rounds", "ratio"}
_SUMMARY = frozenset({"median", "p10", "p90", "count", "least", "most"})


def read_timing(fields: Fields, rounds: int) -> Timing:
    """Read one of `timings`, of a run of so many rounds."""
    only(fields, "a timing", _TIMING)
    part = text(fields, "part")
    if part not in PARTS:
        raise OptionsError(f"a timing's part is {quoted(part)}; it must be one of: {', '.join(PARTS)}")
    is_picture = part == PICTURE
    steps, guidance = fields.raw("steps"), fields.raw("guidance_scale")
    if (steps is not None, guidance is not None) != (is_picture, is_picture):
        raise OptionsError(f"a timing of {quoted(part)} has steps {quoted(steps)} and guidance {quoted(guidance)}")
    medians = tuple(fields.values("rounds", float))
    seconds = _summary(fields.child("seconds"))
    low, high = seconds.least, seconds.most
    if not 1 <= len(medians) <= min(rounds, seconds.count) or not all(low <= median <= high for median in medians):
        raise OptionsError(f"a timing of {quoted(part)} has rounds {quoted(medians)}, which its seconds cannot have")
    return Timing(
        *_kind(fields),
        part,
        fields.get("cold", bool),
        optional_whole(fields, "steps", steps, 1),
        optional_finite(fields, "guidance_scale"),
        seconds,
        medians,
        None if fields.raw("ratio") is None else _ratio(fields.child("ratio")),
    )


def read_footprint(fields: Fields) -> Footprint:
    """Read one of `footprints`."""
    only(fields, "a footprint", _KIND | {"loaded", "peak"})
    return Footprint(*_kind(fields), _memory(fields.child("loaded")), _memory(fields.child("peak")))


def read_failure(fields: Fields) -> Failure:
    """Read one of `failures`."""
    only(fields, "a failure", _KIND | {"reason"})
    return Failure(*_kind(fields), text(fields, "reason"))


def _kind(fields: Fields) -> tuple[str, int | None, int]:
    threads = optional_whole(fields, "threads", fields.raw("threads"), 1)
    return text(fields, "label"), threads, whole(fields, "batch", 1)


def _summary(fields: Fields) -> Summary:
    only(fields, "a timing's seconds", _SUMMARY)
    names = ("least", "p10", "median", "p90", "most")
    least, p10, median, p90, most = values = [finite(fields, name) for name in names]
    if values != sorted(values):
        raise OptionsError(f"a timing's seconds are {quoted(dict(zip(names, values, strict=True)))}; they must rise")
    return Summary(median, p10, p90, whole(fields, "count", 1), least, most)


def _ratio(fields: Fields) -> Ratio:
    only(fields, "a timing's ratio", frozenset({"estimate", "low", "high", "rounds"}))
    low, estimate, high = (finite(fields, name) for name in ("low", "estimate", "high"))
    if not low <= estimate <= high:
        raise OptionsError(f"a timing's ratio is {estimate}, outside its range from {low} to {high}")
    return Ratio(estimate, low, high, whole(fields, "rounds", 1))


def _memory(fields: Fields) -> Memory:
    only(fields, "memory", frozenset({"total", "anonymous", "file_backed"}))
    anonymous, mapped = (optional_whole(fields, name, fields.raw(name), 0) for name in ("anonymous", "file_backed"))
    return Memory(whole(fields, "total", 0), anonymous, mapped)
