"""The drawn pictures of fp32 beside diffusers' own U-ViT and VQ-GAN, with random numbers by their specification."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.reference import Reference
from tests.support.vectors import cases, gumbel, stream

MASK, CODES, GRID = 319, 256, (16, 16)
NEAR = 20
GUIDANCE = 1.25
"""The demo's own."""


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def drawn(
    reference: Reference, encoded: Any, tokens: NDArray[np.int64], given: Any, step: int, scale: float
) -> NDArray[np.int64]:
    """What diffusers' logits and Gumbel-max give at every position."""
    batch = torch.from_numpy(np.stack([tokens.reshape(GRID)] * 2))
    with torch.no_grad():
        both = reference.uvit(batch, *encoded).flatten(2).transpose(1, 2).numpy().astype(np.float64)
    logits = both[0] + scale * (both[1] - both[0])
    noise = gumbel(stream(given["seed"], given["picture"], step, 0, tokens.size * CODES)).reshape(-1, CODES)
    result: NDArray[np.int64] = np.argmax(logits + noise, axis=1)
    return result


@pytest.mark.parametrize("case", [0, 4])
def test_the_steps_of_fp32_are_those_of_diffusers(reference: Reference, case: int) -> None:
    """Text to image, and in-painting, both with the demo's own guidance; the first step, the last and one between."""
    given, expect = cases("pictures-fp32")[case]
    assert "guidance_scale" not in given["options"]
    encoded = reference.encode([given["negative_prompt"], given["prompt"]])
    tokens = np.array(expect["start"]["tokens"])
    compared = (0, len(expect["steps"]) // 2, len(expect["steps"]) - 1)
    for step in expect["steps"]:
        rows = np.flatnonzero(tokens == MASK)
        if step["step"] in compared:
            theirs = drawn(reference, encoded, tokens, given, step["step"], GUIDANCE)[rows]
            clear = np.array(step["draw_margins"]) > NEAR
            assert np.array_equal(theirs[clear], np.array(step["drawn"])[clear]), step["step"]
            assert clear.mean() > 0.9
        kept = np.isin(rows, step["kept"])
        tokens[rows[kept]] = np.array(step["drawn"])[kept]
    image = reference.decode(tokens.reshape(1, *GRID))[:4, :4]
    assert np.abs(np.rint(image * 255).reshape(-1) - expect["corner"]).max() <= 1
