"""Where the functions of a step turn from one rule to the other, and what settings are called in files."""

from typing import Any

import numpy as np
import pytest

from amused_edge.runtime.errors import OptionsError
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
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
    assert SamplerSettings(row_cache=4).later == ["row_cache"]
    assert SamplerSettings(row_cache=4).to_dict()["row_cache"] == 4


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


def test_of_many_that_are_equal_the_first_are_masked() -> None:
    confidence = np.tile(np.array([1.0, 0.0], np.float32), 100)
    assert np.flatnonzero(sampler.remask(confidence, 70)).tolist() == list(range(1, 140, 2))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"guidance_ramp": "steep"}, "guidance_ramp is 'steep'"),
        ({"order": "random"}, "order is 'random'"),
        ({"schedule": "square"}, "schedule is 'square'"),
        ({"guidance_interval": (0.0, "1")}, "guidance_interval is '1'"),
        ({"temperature": (1.0, -1.0)}, "temperature is -1"),
    ],
)
def test_a_bad_setting_is_named(settings: Any, says: str) -> None:
    with pytest.raises(OptionsError, match=says):
        SamplerSettings(**settings)


def test_what_a_step_says_of_pictures_that_are_known() -> None:
    """Types too, which files and ports have; a picture more than there are tokens for is a mistake."""
    tokens, probability = np.arange(6).reshape(1, 2, 3), np.full((1, 2, 3), 0.25, np.float32)
    common: Any = {"seed": 0, "settings": SamplerSettings(steps=2), "mask_token_id": 9, "probability": probability}

    def denoise(*_: Any) -> Any:
        raise AssertionError("nothing is to be drawn")

    *_, last = mask_predict(denoise, tokens, [0], **common)
    assert (last.index, last.steps, last.idle) == (1, 2, True)
    assert np.array_equal(last.tokens, tokens)
    assert np.array_equal(last.probability, probability)
    types = (last.tokens.dtype, last.mask.dtype, last.confidence.dtype, last.probability.dtype)
    assert types == (np.int64, np.bool_, np.float32, np.float32)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        next(mask_predict(denoise, tokens, [0, 1], **common))
