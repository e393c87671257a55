"""Whole loops of mask-predict over small made-up logits, and one step of full size."""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.conformance.margins import margins
from amused_edge.conformance.numbers import floats, short, table
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.drawing.draw import guided_logits
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings

_CLEAR = 1e-4
"""No decision of these loops is nearer than that, unless it is a tie to the bit, which the position breaks: whoever
decides otherwise errs."""

_CODES, _MASK = 11, 13


def _loops_given() -> list[Values]:
    plain = {"schedule": "cosine", "steps": 6, "guidance_scale": 3.0}
    settings: list[Values] = [
        plain,
        {**plain, "schedule": "linear", "temperature": 1.5},
        {**plain, "order": "halton"},
        {**plain, "guidance_ramp": "linear", "guidance_interval": (0.2, 0.9)},
        {**plain, "guidance_ramp": "cosine", "order": "halton", "schedule": "linear"},
        {**plain, "guidance_scale": 1.0, "temperature": (8.0, 0.5)},
        {**plain, "steps": 1},
        {**plain, "steps": 40},
    ]
    return [
        _loop(seed, picture, grid, each, drop=drop)
        for each in settings
        for seed, picture, grid, drop in (("0", "0", [4, 5], 0), ("18446744073709551615", "4294967296", [3, 7], 19))
    ] + _partly_known()


def _partly_known() -> list[Values]:
    """In-painting's and a variation's starts, nothing to draw, one token to draw, and ties to the bit."""
    settings: Values = {"steps": 5, "guidance_scale": 2.5, "schedule": "linear"}
    tokens = [position % _CODES for position in range(20)]
    some = [_MASK if position % 3 == 0 or position > 14 else token for position, token in enumerate(tokens)]
    ratio = short(np.mean([token == _MASK for token in some]))
    seven: Values = {"seed": "7", "picture": "1", "grid": [4, 5], "settings": settings}
    return [
        _loop(**seven, tokens=some, starting_mask_ratio=ratio),
        _loop(**seven, tokens=some, starting_mask_ratio=ratio, first_step=2),
        _loop(**{**seven, "settings": {**settings, "order": "halton"}}, tokens=some, first_step=1),
        _loop(**seven, tokens=tokens),
        _loop(**seven, tokens=[*tokens[:-1], _MASK], starting_mask_ratio=short(1 / 20)),
        _loop(**{**seven, "settings": {**settings, "temperature": (0.0, 0.0)}}, constant=-2.0),
        _loop(**{**seven, "settings": {**settings, "steps": 30}, "grid": [1, 2]}),
    ]


def _loop(
    seed: str,
    picture: str,
    grid: list[int],
    settings: Values,
    *,
    tokens: list[int] | None = None,
    starting_mask_ratio: float = 1.0,
    first_step: int = 0,
    drop: int = 0,
    constant: float | None = None,
) -> Values:
    """Return what a loop is given; `drop` and `constant` are those of `table`."""
    logits: Values = {
        name: {"seed": "1000", "picture": str(place), "drop": drop} if constant is None else {"constant": constant}
        for place, name in enumerate(("unconditional", "conditional"))
    }
    return {
        "seed": seed,
        "picture": picture,
        "grid": grid,
        "codebook_size": _CODES,
        "mask_token_id": _MASK,
        "settings": SamplerSettings(**settings).to_dict(),
        "tokens": tokens or [_MASK] * (grid[0] * grid[1]),
        "first_step": first_step,
        "starting_mask_ratio": starting_mask_ratio,
        "logits": logits,
    }


def _loops(given: Values) -> Values:
    return {"steps": [_told(step) for step in _run(given)]}


def _run(given: Values, most: int | None = None) -> list[Step]:
    """Run the loop, or so many of its steps, and check that each of their decisions is clear."""
    tokens = np.array(given["tokens"], np.int64).reshape(given["grid"])
    settings = SamplerSettings(**given["settings"])
    seed, picture = int(given["seed"]), int(given["picture"])
    asked: list[tuple[FloatArray, IntArray]] = []

    def denoise(_: int, step: int, grid: IntArray, rows: IntArray) -> FloatArray:
        logits = guided_logits(_Tables(given, step), grid, rows, {"branch": np.arange(2)}, settings.guidance_at(step))
        asked.append((logits, rows))
        return logits

    steps = []
    loop = mask_predict(
        denoise,
        tokens[None],
        [picture],
        seed=seed,
        settings=settings,
        mask_token_id=given["mask_token_id"],
        starting_mask_ratio=[given["starting_mask_ratio"]],
        first_step=given["first_step"],
    )
    for step in islice(loop, most):
        if asked:
            _check_clear(margins(*asked.pop(), step, seed=seed, picture=picture).least, given)
        steps.append(step)
    return steps


def _check_clear(least: float, given: Values) -> None:
    tied = "constant" in given["logits"]["conditional"]
    if least < _CLEAR and not tied:
        raise ArithmeticError(f"a decision of the loop with {given['settings']} is nearer than {_CLEAR}: {least}")


class _Tables:
    """Stands for a denoiser, whose logits depend on the step and the branch alone."""

    def __init__(self, given: Values, step: int) -> None:
        self._given, self._step = given, step

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        positions = np.arange(inputs["tokens"][0].size)
        rules = [self._given["logits"][("unconditional", "conditional")[branch]] for branch in inputs["branch"]]
        codes = self._given["codebook_size"]
        return {"logits": np.stack([table(rule, self._step, positions, codes) for rule in rules])}

    def close(self) -> None:
        pass


def _told(step: Step) -> Values:
    return {
        "step": step.index,
        "predicted": step.predicted.reshape(-1).tolist(),
        "masked": np.flatnonzero(step.mask).tolist(),
        "confidence": floats(step.confidence.reshape(-1)),
        "probability": floats(step.probability.reshape(-1)),
    }


def _full_given() -> list[Values]:
    settings: Values = {"steps": 12, "guidance_scale": 10.0, "temperature": (2.0, 0.0)}
    rules = {
        name: {"seed": "2000", "picture": str(i), "drop": 0} for i, name in enumerate(("unconditional", "conditional"))
    }
    shared = {"picture": "0", "grid": [16, 16], "codebook_size": 8192, "mask_token_id": 8255, "logits": rules}
    every_third = [8255 if position % 3 == 0 else position * 31 for position in range(256)]
    return [
        {"seed": "5", **shared, "settings": SamplerSettings(**settings).to_dict(), **start, "starting_mask_ratio": 1.0}
        for start in ({"tokens": [8255] * 256, "first_step": 0}, {"tokens": every_third, "first_step": 7})
    ]


def _full(given: Values) -> Values:
    """The first of the steps alone."""
    told = _told(_run(given, most=1)[0])
    return {name: told[name] for name in ("step", "predicted", "masked")}


_TOLERANCE = {"confidence": Tolerance(2e-5, 1e-6), "probability": Tolerance(1e-7, 1e-5)}

SETS = (
    VectorSet(
        "loops",
        "Every step of mask-predict over logits that a rule makes; no decision is nearer than 1e-4, or it is a tie.",
        _loops_given,
        _loops,
        _TOLERANCE,
    ),
    VectorSet("full-steps", "One step over 16 x 16 tokens of 8192 codes, as `loops`.", _full_given, _full),
)
