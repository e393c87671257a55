"""One step of one picture as a graph: `runtime.sampling.mask_predict` without the denoiser's call.

What a caller may choose is an input, under the name of the manifest's `sampler`; words are their places in `SCHEDULES`,
`GUIDANCE_RAMPS` and `ORDERS`, whose third is not here.
"""

import numpy as np
import onnx_ir as ir

from amused_edge.export.onnx.opset import IR_VERSION, OPSET
from amused_edge.export.onnx.sampler import philox, rules
from amused_edge.export.onnx.sampler.formulae import Formulae, Operand
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.sampling.halton import halton_order
from amused_edge.runtime.sampling.philox import Purpose

_TINY = np.float32(1e-20)
_BRANCHES = "branches"


def sampler_model(geometry: Geometry) -> ir.Model:
    """Return the graph for a bundle's grid, codes and mask id; docs/sampler.md says what it takes and gives."""
    f, given = Formulae(), _inputs(geometry)
    grid = [geometry.grid_height, geometry.grid_width]
    flat = np.array([-1])
    place = rules.Place.of(f, given["step"], given["steps"])
    tokens, before = (f("Reshape", given[name], flat) for name in ("tokens", "probability"))
    rows = f("Reshape", f("NonZero", f("Equal", tokens, np.int64(geometry.mask_token_id))), flat, name="rows")
    noise = _Noise(f, given, rows, geometry)
    scales = rules.guidance(
        f, place.steps, given["guidance_scale"], given["guidance_ramp"], given["guidance_interval"], "guidance"
    )
    logits = _guided(f, given["logits"], rows, f("Gather", scales, place.step, axis=0), geometry)
    drawn = f("ArgMax", f("Add", noise.tokens(), logits), axis=1, keepdims=0)
    log_probability = _log_probabilities(f, logits, drawn)
    by_confidence = f(
        "Add", log_probability, f("Mul", rules.temperature(f, place, given["temperature"]), noise.confidence())
    )
    chosen = f.choose(given["order"], by_confidence, _places(f, rows, noise.order_start(), geometry))

    index = f("Unsqueeze", rows, np.array([1]))
    length = rules.mask_length(
        f, place, given["schedule"], given["starting_mask_ratio"], _positions(geometry), f("Size", rows)
    )
    confidence = f("ScatterND", np.full(_positions(geometry), np.inf, np.float32), index, chosen)
    predicted = f("ScatterND", tokens, index, drawn)
    mask = _remask(f, confidence, length)
    results = {
        "next_tokens": f("Where", mask, np.int64(geometry.mask_token_id), predicted),
        "predicted": predicted,
        "mask": mask,
        "confidence": confidence,
        "next_probability": f("ScatterND", before, index, f("Exp", log_probability)),
    }
    shaped = [f("Reshape", value, np.array(grid), name=name) for name, value in results.items()]
    return _model(f, given, [*shaped, scales], grid)


def _positions(geometry: Geometry) -> int:
    return geometry.grid_height * geometry.grid_width


class _Noise:
    """The uniforms of a picture's step, from one run of the generator."""

    def __init__(self, f: Formulae, given: dict[str, ir.Value], rows: ir.Value, geometry: Geometry) -> None:
        per_block, self._codes = philox.UNIFORMS_PER_BLOCK, geometry.codebook_size
        self._f, self._rows, self._positions = f, rows, _positions(geometry)
        # A row of the table of all positions and codes begins within a block, unless blocks divide the codes.
        self._whole = self._codes % per_block == 0
        blocks = self._codes // per_block if self._whole else -(-(self._codes + per_block - 1) // per_block)
        self._first = f("Mul", rows, np.int64(self._codes))
        begun = f("Unsqueeze", f("Div", self._first, np.int64(per_block)), np.array([1]))
        of_tokens = f("Reshape", f("Add", begun, np.arange(1, blocks + 1)), np.array([-1]))
        others = -(-self._positions // per_block)
        self._count = f("Shape", of_tokens)
        ends = [np.arange(1, others + 1), np.array([1])]
        step_here = f("Expand", given["step"], f("Add", self._count, np.array([others])))
        purposes = [np.full(others, Purpose.CONFIDENCE, np.int64), np.array([Purpose.ORDER], np.int64)]
        counter: list[Operand] = [
            f("Concat", of_tokens, *ends, axis=0),
            given["picture"],
            f("Concat", step_here, np.array([0]), axis=0),
            f("Concat", f("Expand", np.int64(Purpose.TOKENS), self._count), *purposes, axis=0),
        ]
        self._uniforms = philox.uniforms(f, counter, given["seed"], "uniforms")
        after = f("Slice", self._uniforms, self._count, np.array([np.iinfo(np.int64).max]), np.array([0]))
        self._after = f("Reshape", after, np.array([-1]))
        self._order_place = others * per_block

    def tokens(self) -> ir.Value:
        """(M, codes) Gumbel noise."""
        f, per_block = self._f, philox.UNIFORMS_PER_BLOCK
        ours = f("Slice", self._uniforms, np.array([0]), self._count, np.array([0]))
        if self._whole:
            return _gumbel(f, f("Reshape", ours, np.array([-1, self._codes])))
        blocks = -(-(self._codes + per_block - 1) // per_block)
        table = f("Reshape", ours, np.array([-1, blocks * per_block]))
        skipped = f("Unsqueeze", f("Mod", self._first, np.int64(per_block)), np.array([1]))
        return _gumbel(f, f("GatherElements", table, f("Add", skipped, np.arange(self._codes)), axis=1))

    def confidence(self) -> ir.Value:
        """(M,) Gumbel noise."""
        return _gumbel(self._f, self._f("Gather", self._after, self._rows, axis=0))

    def order_start(self) -> ir.Value:
        """Where the walk through the Halton order begins."""
        f = self._f
        u = f.cast(f("Gather", self._after, np.int64(self._order_place), axis=0), ir.DataType.DOUBLE)
        return f.cast(f("Mul", u, np.float64(self._positions)), ir.DataType.INT64, name="order_start")


def _gumbel(f: Formulae, u: ir.Value) -> ir.Value:
    for _ in range(2):
        u = f("Neg", f("Log", f("Max", u, _TINY)))
    return u


def _guided(f: Formulae, logits: ir.Value, rows: ir.Value, scale: ir.Value, geometry: Geometry) -> ir.Value:
    """(branches, N, V) -> guided logits of the rows, (M, V); where no guidance is, those of the last branch."""
    positions = np.int64(_positions(geometry))
    table = f("Reshape", logits, np.array([-1, geometry.codebook_size]))
    on = f("Greater", scale, np.float64(1))
    last = f("Sub", f("Gather", f("Shape", logits), np.int64(0), axis=0), np.int64(1))
    # With guidance the prompt's is the second branch: where there is but one, the engine refuses the rows.
    branch = f("Where", on, np.int64(1), last)
    conditional = f("Gather", table, f("Add", rows, f("Mul", branch, positions)), axis=0)
    unconditional = f("Gather", table, rows, axis=0)
    difference = f("Mul", f("Sub", conditional, unconditional), f.cast(scale, ir.DataType.FLOAT))
    return f("Where", on, f("Add", difference, unconditional), conditional, name="guided")


def _log_probabilities(f: Formulae, logits: ir.Value, drawn: ir.Value) -> ir.Value:
    shifted = f("Sub", logits, f("ReduceMax", logits, np.array([1]), keepdims=1))
    chosen = f("GatherElements", shifted, f("Unsqueeze", drawn, np.array([1])), axis=1)
    total = f("ReduceSum", f("Exp", shifted), np.array([1]), keepdims=0)
    own = f("Sub", f("Squeeze", chosen, np.array([1])), f("Log", total))
    return f("Max", own, np.log(_TINY))


def _places(f: Formulae, rows: ir.Value, start: ir.Value, geometry: Geometry) -> ir.Value:
    """(M,) negative places of the rows in the Halton order, which begins at `start` and goes round."""
    order = halton_order(geometry.grid_height, geometry.grid_width)
    place_of = np.argsort(order)
    turned = f("Mod", f("Sub", f("Gather", place_of, rows, axis=0), start), np.int64(len(order)))
    return f("Neg", f.cast(turned, ir.DataType.FLOAT))


def _remask(f: Formulae, confidence: ir.Value, length: ir.Value) -> ir.Value:
    """(N,) -> (N,) bool: so many of the least; of equal ones the first, which TopK promises."""
    least = f.several(
        "TopK", confidence, f("Unsqueeze", length, np.array([0])), names=(None, None), largest=0, sorted=1, axis=0
    )[1]
    every = f("Expand", np.array([True]), f("Shape", least))
    nowhere = f("Expand", np.array([False]), f("Shape", confidence))
    return f("ScatterND", nowhere, f("Unsqueeze", least, np.array([1])), every)


def _inputs(geometry: Geometry) -> dict[str, ir.Value]:
    grid = [geometry.grid_height, geometry.grid_width]
    whole, real = ir.DataType.INT64, ir.DataType.DOUBLE
    kinds: dict[str, tuple[ir.DataType, list[int | str]]] = {
        "logits": (ir.DataType.FLOAT, [_BRANCHES, _positions(geometry), geometry.codebook_size]),
        "tokens": (whole, [*grid]),
        "probability": (ir.DataType.FLOAT, [*grid]),
        **{name: (whole, []) for name in ("seed", "picture", "step", "steps")},
        "guidance_scale": (real, []),
        "guidance_ramp": (whole, []),
        "guidance_interval": (real, [2]),
        "temperature": (real, [2]),
        "schedule": (whole, []),
        "order": (whole, []),
        "starting_mask_ratio": (real, []),
    }
    return {
        name: ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        for name, (dtype, shape) in kinds.items()
    }


def _model(f: Formulae, given: dict[str, ir.Value], results: list[ir.Value], grid: list[int]) -> ir.Model:
    types = (ir.DataType.INT64, ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.FLOAT, ir.DataType.FLOAT)
    for value, dtype in zip(results, (*types, ir.DataType.DOUBLE), strict=True):
        value.type = ir.TensorType(dtype)
        value.shape = ir.Shape(["steps"] if dtype == ir.DataType.DOUBLE else grid)
    graph = ir.Graph(
        list(given.values()),
        results,
        nodes=f.nodes,
        initializers=f.constants,
        opset_imports={"": OPSET},
        name="sampler",
    )
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="amused-edge")
