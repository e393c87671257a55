"""What depends on the step alone: mask ratios and lengths, temperatures, guidance scales, Halton orders."""

from itertools import product

from amused_edge.conformance.numbers import short
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet
from amused_edge.runtime.sampling.halton import halton_order
from amused_edge.runtime.sampling.mask_predict import _Noise
from amused_edge.runtime.sampling.schedule import (
    GUIDANCE_RAMPS,
    SCHEDULES,
    guidance_at,
    mask_length,
    mask_ratio,
    temperature_at,
)

_STEPS = (1, 2, 3, 4, 7, 8, 12, 18, 25, 60, 100)


def _ratios_given() -> list[Values]:
    return [{"schedule": schedule, "steps": steps} for schedule, steps in product(SCHEDULES, _STEPS)]


def _ratios(given: Values) -> Values:
    steps = given["steps"]
    return {"ratios": [short(mask_ratio(given["schedule"], step, steps)) for step in range(steps)]}


def _lengths_given() -> list[Values]:
    shares = [short(share) for share in (0.75, 0.3, 1 / 3, 1 / 256)]
    grids = [(4, 1.0), (35, 1.0), (256, 1.0), (1024, 1.0), *((256, share) for share in shares)]
    runs = [*product(SCHEDULES, (2, 7, 12, 60), grids), *product(SCHEDULES, (200,), grids[2:3])]
    cases = [(schedule, steps, n, share, round(n * share)) for schedule, steps, (n, share) in runs]
    cases += [(schedule, 12, 256, 0.75, unknown) for schedule, unknown in product(SCHEDULES, (0, 1, 2, 100))]
    names = ("schedule", "steps", "sequence_length", "starting_mask_ratio", "unknown")
    return [dict(zip(names, case, strict=True)) for case in cases]


def _lengths(given: Values) -> Values:
    """Each length is the number of unknown tokens before the next step, as in the loop."""
    unknown, lengths = given["unknown"], []
    for step in range(given["steps"] - 1):
        unknown = mask_length(
            given["schedule"],
            step,
            given["steps"],
            sequence_length=given["sequence_length"],
            unknown=unknown,
            starting_mask_ratio=given["starting_mask_ratio"],
        )
        lengths.append(unknown)
    return {"lengths": lengths}


def _temperatures_given() -> list[Values]:
    ends = ((2.0, 0.0), (0.0, 3.0), (1.5, 1.5), (0.7, 0.1), (1e6, 0.0), 2.0, 0.5, 0.0)
    return [
        {"temperature": list(end) if isinstance(end, tuple) else end, "steps": steps}
        for end, steps in product(ends, (1, 2, 3, 12, 60))
    ]


def _temperatures(given: Values) -> Values:
    ends, steps = given["temperature"], given["steps"]
    ends = tuple(ends) if isinstance(ends, list) else ends
    return {"temperatures": [short(temperature_at(ends, step, steps)) for step in range(steps)]}


def _scales_given() -> list[Values]:
    settings = [
        (scale, ramp, interval, steps)
        for scale, ramp in product((10.0, 1.25), GUIDANCE_RAMPS)
        for interval, steps in (((0.0, 1.0), 12), ((0.25, 0.75), 12), ((0.0, 1.0), 1), ((0.1, 0.5), 5))
    ]
    settings += [
        (4.0, "constant", (0.125, 0.125), 4),  # the middle of the first step, to the bit
        (4.0, "cosine", (0.5, 0.5), 3),
        (4.0, "linear", (0.3, 0.3), 12),
        (1.0, "linear", (0.0, 1.0), 4),
        (0.5, "constant", (0.0, 1.0), 4),
        (0.0, "cosine", (0.2, 0.9), 4),
    ]
    names = ("guidance_scale", "guidance_ramp", "guidance_interval", "steps")
    return [dict(zip(names, (scale, ramp, list(pair), n), strict=True)) for scale, ramp, pair, n in settings]


def _scales(given: Values) -> Values:
    begin, end = given["guidance_interval"]
    scale, ramp, steps = given["guidance_scale"], given["guidance_ramp"], given["steps"]
    return {"scales": [guidance_at(scale, ramp, (begin, end), step, steps) for step in range(steps)]}


def _orders_given() -> list[Values]:
    return [{"grid": list(grid)} for grid in ((1, 1), (1, 7), (4, 3), (5, 8), (16, 16), (24, 16), (32, 32))]


def _orders(given: Values) -> Values:
    return {"order": halton_order(*given["grid"]).tolist()}


def _order_starts_given() -> list[Values]:
    streams = product(("0", "7", "18446744073709551615"), ("0", "1", "4294967296"), (12, 256, 1024))
    return [{"seed": seed, "picture": picture, "positions": n} for seed, picture, n in streams]


def _order_starts(given: Values) -> Values:
    noise = _Noise(int(given["seed"]), int(given["picture"]), step=0)
    return {"start": noise.order_start(given["positions"])}


SETS = (
    VectorSet("mask-ratios", "The share of tokens that stays masked after each step, float32.", _ratios_given, _ratios),
    VectorSet("mask-lengths", "How many tokens stay masked after each step but the last.", _lengths_given, _lengths),
    VectorSet("temperatures", "The temperature of each step, float32.", _temperatures_given, _temperatures),
    VectorSet(
        "guidance-scales",
        "The guidance scale of each step, float64; the unconditional branch runs where it is above 1.",
        _scales_given,
        _scales,
        {"scales": Tolerance(0.0, 1e-12)},
    ),
    VectorSet("halton-orders", "All positions of a grid in the order of the Halton sequence.", _orders_given, _orders),
    VectorSet(
        "halton-starts",
        "The place in a Halton order at which a picture's walk begins.",
        _order_starts_given,
        _order_starts,
    ),
)
