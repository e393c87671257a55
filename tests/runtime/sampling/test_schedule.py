"""Mask lengths and temperatures against the reference scheduler, number by number."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import AmusedScheduler

from amused_edge.runtime.sampling.schedule import Schedule, Temperature, mask_length, mask_ratio, temperature_at

LENGTHS = (1, 4, 16, 35, 256, 1024)
STARTS = (1.0, 0.75, 0.5, 0.3, 1 / 3, 1 / 256)

PUBLISHED_12_STEPS = {
    256: [253, 247, 236, 221, 203, 181, 155, 127, 97, 66, 33],
    1024: [1015, 989, 946, 886, 812, 724, 623, 511, 391, 265, 133],
}


def reference_ratio(schedule: Schedule, step: int, steps: int) -> torch.Tensor:
    """The scheduler's own operations, on the shape (1, 1) that it has there."""
    ratio = (torch.tensor([[step]]) + 1) / steps
    return torch.cos(ratio * math.pi / 2) if schedule == "cosine" else 1 - ratio


def reference_step_length(
    monkeypatch: pytest.MonkeyPatch, schedule: Schedule, step: int, steps: int, length: int, unknown: int, start: float
) -> int:
    """Tokens that the reference scheduler masks again in a real call of `step`, all confidences distinct."""
    monkeypatch.setattr(torch, "multinomial", lambda p, *_, **__: torch.zeros(len(p), 1, dtype=torch.int64))
    scheduler = AmusedScheduler(mask_token_id=9, masking_schedule=schedule)
    scheduler.set_timesteps(steps, (0, 0))
    logits = torch.stack([torch.linspace(-3, 3, length), torch.zeros(length)], dim=-1)[None]
    sample = torch.zeros(1, length, dtype=torch.int64)
    sample[:, :unknown] = 9
    after = scheduler.step(logits, steps - 1 - step, sample, starting_mask_ratio=start).prev_sample
    return int((after == 9).sum())


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_lengths_equal_the_reference_arithmetic_everywhere(schedule: Schedule) -> None:
    """All step counts 1 to 100. Hundreds of thousands of calls of the scheduler would take minutes, so its arithmetic
    is repeated here in torch; `test_lengths_equal_a_real_step` shows on a sample that the repetition is true.
    """
    lengths = torch.tensor(LENGTHS, dtype=torch.float32)[:, None]
    starts = torch.tensor(STARTS, dtype=torch.float32)
    for steps in range(1, 101):
        for step in range(steps - 1):
            floored = (lengths * (starts * reference_ratio(schedule, step, steps))).floor()
            expected = torch.maximum(torch.tensor(1.0), torch.minimum(lengths - 1, floored)).int().tolist()
            ours = [
                [
                    mask_length(schedule, step, steps, sequence_length=n, unknown=n, starting_mask_ratio=start)
                    for start in STARTS
                ]
                for n in LENGTHS
            ]
            assert ours == expected, f"step {step} of {steps}"


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(
    ("steps", "length", "unknown", "start"),
    [
        (12, 256, 256, 1.0),
        (12, 1024, 1024, 1.0),
        (60, 256, 256, 1.0),
        (7, 35, 35, 1.0),
        (12, 256, 200, 0.75),
        (25, 256, 77, 0.3),
        (12, 16, 2, 0.5),
        (3, 4, 1, 0.25),
    ],
)
def test_lengths_equal_a_real_step(
    monkeypatch: pytest.MonkeyPatch, schedule: Schedule, steps: int, length: int, unknown: int, start: float
) -> None:
    for step in range(steps - 1):
        expected = reference_step_length(monkeypatch, schedule, step, steps, length, unknown, start)
        ours = mask_length(schedule, step, steps, sequence_length=length, unknown=unknown, starting_mask_ratio=start)
        assert ours == expected, f"step {step}"


@pytest.mark.parametrize("length", PUBLISHED_12_STEPS)
def test_twelve_steps_leave_the_known_lengths(length: int) -> None:
    """A float64 cosine would leave 128 of 256 after step 8, where the reference leaves 127."""
    unknown, lengths = length, []
    for step in range(11):
        unknown = mask_length("cosine", step, 12, sequence_length=length, unknown=unknown)
        lengths.append(unknown)
    assert lengths == PUBLISHED_12_STEPS[length]


@pytest.mark.parametrize(("length", "expected"), [(256, 144), (1024, 579)])
def test_the_angle_is_float32_at_every_operation(length: int, expected: int) -> None:
    """An angle computed in float64 and cast down leaves one token more after step 36 of 60."""
    cast_down = np.float32(np.cos(np.float64(np.float32(37 / 60 * math.pi / 2))))
    assert int(np.floor(np.float32(length) * cast_down)) == expected + 1
    assert mask_length("cosine", 36, 60, sequence_length=length, unknown=length) == expected


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_ratio_is_float32_and_falls(schedule: Schedule) -> None:
    ratios = [mask_ratio(schedule, step, 12) for step in range(11)]
    assert all(type(ratio) is np.float32 and 0 < ratio < 1 for ratio in ratios)
    assert all(later < earlier for earlier, later in pairwise(ratios))


def test_at_least_one_token_is_revealed_and_one_stays() -> None:
    """256 tokens in 200 steps: the schedule alone would reveal none in the first steps."""
    unknown = 256
    for step in range(199):
        before, unknown = unknown, mask_length("cosine", step, 200, sequence_length=256, unknown=unknown)
        assert 1 <= unknown <= max(1, before - 1)


def test_nothing_unknown_leaves_nothing_masked() -> None:
    """The reference would mask one known token."""
    assert mask_length("cosine", 0, 12, sequence_length=256, unknown=0) == 0


@pytest.mark.parametrize("temperature", [(2.0, 0.0), (0.0, 3.0), (1.5, 1.5), (0.7, 0.1), 2.0, 0.5, 0.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 12, 60])
def test_temperatures_equal_the_reference(temperature: Temperature, steps: int) -> None:
    """Pairs as they are, a scalar down to 0.01. Tolerance: torch fills linspace from both ends, NumPy from one."""
    scheduler = AmusedScheduler(mask_token_id=9)
    scheduler.set_timesteps(steps, temperature)  # type: ignore[arg-type]
    ours = [temperature_at(temperature, step, steps) for step in range(steps)]
    assert all(type(value) is np.float32 for value in ours)
    np.testing.assert_allclose(ours, scheduler.temperatures, rtol=1e-6, atol=1e-7)
