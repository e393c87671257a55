"""Beside Apple's own library, whose values `make_coreai_opt_values.py` wrote: the same form, and the same fidelity.

It divides the largest value by 127.5 or 7.5 where ours divides by 127 or 7, as with the other targets: codes may differ
by one, values by less than a step.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.quantization.coreai.apply import scaled_codes
from amused_edge.quantization.recipes.rules import Rule

FILE = Path(__file__).parent / "coreai_opt_values.json"
CASES = [("w8", "linear", Rule("*", bits=8)), ("w8", "conv", Rule("*", bits=8)),
         ("w4_per_block", "linear", Rule("*", bits=4, block=32, symmetric=True))]  # fmt: skip


def weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(20)
    linear = rng.standard_normal((24, 64)).astype(np.float32)
    return {"linear": linear, "conv": rng.standard_normal((12, 8, 3, 3)).astype(np.float32)}


@pytest.mark.parametrize(("preset", "layer", "rule"), CASES)
def test_values_beside_those_of_coreai_opt(preset: str, layer: str, rule: Rule) -> None:
    stored: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))[preset]
    codes, scales = (
        np.array(stored[f"{layer}_weight_{part}"]["values"], np.float64).reshape(
            stored[f"{layer}_weight_{part}"]["shape"]
        )
        for part in ("quantized", "scale")
    )
    weight = weights()[layer]
    matmul = layer == "linear"
    ours, steps, zeros = scaled_codes(weight.T if matmul else weight, matmul, rule)
    assert zeros is None
    ours, steps = (ours.T, steps.T) if matmul else (ours, steps)
    assert (ours.shape, steps.shape) == (codes.shape, scales.shape)
    top = 2 ** (rule.bits - 1)
    assert np.allclose(steps * (top - 1), scales * (top - 0.5), rtol=1e-6)
    spread = [np.repeat(part, weight.shape[1] // part.shape[1], 1) for part in (scales, steps)]
    theirs, made = codes * spread[0], ours * spread[1].astype(np.float64)
    assert np.abs(made - theirs).max() <= spread[1].max()
    errors = [float(np.sqrt(np.mean((values - weight) ** 2))) for values in (theirs, made)]
    assert errors[1] == pytest.approx(errors[0], rel=0.05)
