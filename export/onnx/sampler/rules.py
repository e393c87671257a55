"""`runtime.sampling.schedule` in ONNX operators, float32 and float64 where it has them."""

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from amused_edge.export.onnx.sampler.formulae import Formulae

FLOAT, DOUBLE, INT64 = ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT64


@dataclass(frozen=True)
class Place:
    """Where in the run a step stands: whole numbers of no axis, and whether it is the last (bool)."""

    step: ir.Value
    steps: ir.Value
    last: ir.Value

    @staticmethod
    def of(f: Formulae, step: ir.Value, steps: ir.Value) -> "Place":
        """Return the place of a step, from 0, of so many."""
        return Place(step, steps, f("Equal", step, f("Sub", steps, np.int64(1))))


def guidance(f: Formulae, steps: ir.Value, scale: ir.Value, ramp: ir.Value, interval: ir.Value, name: str) -> ir.Value:
    """Return the guidance scales of all steps, (steps,) float64, as `schedule.guidance_at`."""
    index = f.cast(f("Range", np.int64(0), steps, np.int64(1)), DOUBLE)
    middle = f("Div", f("Add", index, np.float64(0.5)), f.cast(steps, DOUBLE))
    begin, end = (f("Gather", interval, np.int64(place), axis=0) for place in range(2))
    within = f("And", f("LessOrEqual", begin, middle), f("LessOrEqual", middle, end))
    guided = f("And", within, f("Greater", scale, np.float64(1)))
    one_or_more = f("Max", np.int64(1), f("Sub", steps, np.int64(1)))
    share = f("Div", index, f.cast(one_or_more, DOUBLE))
    half_wave = f("Sin", f("Mul", share, np.float64(math.pi / 2)))  # (1 - cos x) / 2 = sin(x / 2)^2
    rise = f("Sub", scale, np.float64(1))
    flat = f("Expand", scale, f("Shape", index))
    ramps = (f("Add", np.float64(1), f("Mul", rise, grown)) for grown in (share, f("Mul", half_wave, half_wave)))
    ramped = f.choose(ramp, flat, *ramps)
    whole = f("Where", f("Equal", steps, np.int64(1)), flat, ramped)
    return f("Where", guided, whole, f("Min", scale, np.float64(1)), name=name)


def temperature(f: Formulae, place: Place, ends: ir.Value) -> ir.Value:
    """Return the step's temperature, float32, as `schedule.temperature_at`."""
    first, end = (f("Gather", ends, np.int64(index), axis=0) for index in range(2))
    parts = f("Max", np.int64(1), f("Sub", place.steps, np.int64(1)))
    slope = f("Div", f("Sub", end, first), f.cast(parts, DOUBLE))
    linear = f("Add", f("Mul", f.cast(place.step, DOUBLE), slope), first)
    at_end = f("And", place.last, f("Greater", place.steps, np.int64(1)))
    return f.cast(f("Where", at_end, end, linear), FLOAT, name="temperature_of_step")


def mask_length(
    f: Formulae, place: Place, schedule: ir.Value, start: ir.Value, positions: int, unknown: ir.Value
) -> ir.Value:
    """Return how many tokens are masked again, as `schedule.mask_length`; none after the last step."""
    done = f("Div", f.cast(f("Add", place.step, np.int64(1)), FLOAT), f.cast(place.steps, FLOAT))
    angle = f("Div", f("Mul", done, np.float32(np.pi)), np.float32(2))
    # ONNX Runtime 1.19 has a float64 sine, but no cosine.
    cosine = f.cast(f("Sin", f("Sub", np.float64(math.pi / 2), f.cast(angle, DOUBLE))), FLOAT)
    ratio = f.choose(schedule, cosine, f("Sub", np.float32(1), done))
    share = f("Mul", f.cast(start, FLOAT), ratio)
    scheduled = f.cast(f("Floor", f("Mul", np.float32(positions), share)), INT64)
    length = f("Max", np.int64(1), f("Min", f("Sub", unknown, np.int64(1)), scheduled))
    nothing = f("Or", place.last, f("Equal", unknown, np.int64(0)))
    return f("Where", nothing, np.int64(0), length, name="mask_length")
