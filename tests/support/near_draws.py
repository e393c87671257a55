"""Tokens that two engines draw of the same numbers."""

import numpy as np

from amused_edge.benchmarks.subjects.teacher_forcing import State
from amused_edge.runtime.sampling import sampler


def differing_draws(state: State, ours: str, reference: str) -> int:
    """Return how many tokens of a step the two draw otherwise; fails if logits differ by more than 1e-4 of the largest,
    or if such a token was won by more than the logits differ.
    """
    found, expected = state.logits[ours], state.logits[reference]
    errors = np.abs(found.astype(np.float64) - expected)
    assert errors.max() <= 1e-4 * np.abs(expected).max()
    differs = sampler.draw_tokens(found, state.uniforms) != sampler.draw_tokens(expected, state.uniforms)
    best = np.sort(expected + sampler.gumbel(state.uniforms), axis=1)
    assert (best[:, -1] - best[:, -2] < 2 * errors.max(axis=1))[differs].all()
    return int(differs.sum())
