"""Where the functions of a step turn from one rule to the other, and what settings are called in files."""

import numpy as np
import pytest

from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.options import SamplerSettings

PLAIN = {
    "steps": 7,
    "guidance_scale": 3.0,
    "temperature": (2.0, 0.5),
    "schedule": "linear",
    "guidance_ramp": "cosine",
    "guidance_interval": (0.25, 1.0),
    "order": "halton",
}


def test_settings_as_files_name_them() -> None:
    settings = SamplerSettings(7, 3.0, (2.0, 0.5), "linear", "cosine", (0.25, 1.0), "halton")
    assert settings.to_dict() == PLAIN
    assert settings.later == []
    later = SamplerSettings(7, 3.0, (2.0, 0.5), "linear", "cosine", (0.25, 1.0), "moment", 0.5)
    assert later.to_dict() == {**PLAIN, "order": "moment", "entropy_bound": 0.5}
    assert set(later.later) == {"order", "entropy_bound"}
    assert SamplerSettings(order="moment").later == ["order"]


def test_the_scale_of_a_step_is_that_of_the_settings() -> None:
    """1 outside of the interval, half a cosine wave to the scale within: steps stand at (step + 0.5) / 4."""
    settings = SamplerSettings(4, 3.0, guidance_ramp="cosine", guidance_interval=(0.2, 0.8))
    wave = [1 + 2 * (1 - np.cos(np.pi * step / 3)) / 2 for step in range(4)]
    assert [settings.guidance_at(step) for step in range(4)] == pytest.approx([1.0, wave[1], wave[2], 1.0])


def test_below_a_millionth_a_temperature_is_none() -> None:
    logits = np.array([[0.0, -1e-5, -1.0]], np.float32)
    assert sampler.sharpened(logits, np.float32(0.99e-6)).tolist() == [[0.0, -np.inf, -np.inf]]
    warm = sampler.sharpened(logits, np.float32(1e-6))
    assert warm.dtype == np.float32
    assert warm == pytest.approx(logits * 1_000_001.0, rel=1e-6)
    cold, warmer = (sampler.log_moments(logits, np.float32(t)) for t in (0.99e-6, 1e-6))
    assert cold == pytest.approx(-np.log(np.exp(logits.astype(np.float64)).sum()), rel=1e-6)
    assert warmer == pytest.approx(cold, rel=1e-5)


def test_a_bound_that_is_just_reached_still_holds() -> None:
    """Sums without the largest: 0, 1, 3, 6 in the order of confidence; of entropies that rise, the one before each."""
    confidence, entropy = np.array([4, 3, 2, 1], np.float32), np.array([1, 2, 3, 4], np.float32)
    kept = [
        sampler.within_entropy(confidence, entropy, bound) for bound in (0.0, 0.99, 1.0, 2.99, 3.0, 5.99, 6.0, 99.0)
    ]
    assert kept == [1, 1, 2, 2, 3, 3, 4, 4]


def test_entropies_are_never_negative_and_are_those_of_float64() -> None:
    logits = np.array([[0.0, 0.0, 0.0, 0.0], [50.0, 0.0, 0.0, -300.0], [3.0, 1.0, 0.5, -2.0]], np.float32)
    wide = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    share = wide / wide.sum(axis=1, keepdims=True)
    expected = -(share * np.log(share)).sum(axis=1)
    assert sampler.entropies(logits) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert 0 <= sampler.entropies(np.array([[500.0, 0.0]], np.float32))[0] < 1e-40


def test_places_in_an_order_are_confidences() -> None:
    found = sampler.order_confidences(np.array([2, 0, 3, 1]), np.array([0, 2, 3]))
    assert found.dtype == np.float32
    assert found.tolist() == [-1.0, np.inf, 0.0, -2.0]
