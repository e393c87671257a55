"""What must hold of the loop for any grid, step count, ratio, temperature and logits, ties included."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from amused_edge.runtime.sampling.mask_predict import Step, mask_predict
from amused_edge.runtime.sampling.options import ORDERS, SamplerSettings
from amused_edge.runtime.sampling.schedule import GUIDANCE_RAMPS, SCHEDULES, guidance_at, mask_length, mask_ratio

MASK = 9
CODES = 7

sampler_settings = st.builds(
    SamplerSettings,
    steps=st.integers(1, 30),
    guidance_scale=st.just(1.0),
    temperature=st.one_of(
        st.floats(0, 1e6, width=32), st.tuples(st.floats(0, 1e6, width=32), st.floats(0, 1e6, width=32))
    ),
    schedule=st.sampled_from(SCHEDULES),
    order=st.sampled_from(ORDERS),
)


@st.composite
def starts(draw: st.DrawFn) -> NDArray[np.int64]:
    """Grids of 1 to 9 by 1 to 9, any tokens known."""
    batch, height, width = draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, CODES, (batch, height, width))
    return np.where(rng.random(tokens.shape) < share, MASK, tokens)


def logits(kind: str, tokens: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    if kind == "ties":
        return np.zeros((len(rows), CODES), np.float32)
    rng = np.random.default_rng(int(tokens.sum()))
    return (rng.standard_normal((len(rows), CODES)) * (1000 if kind == "sharp" else 1)).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(
    start=starts(),
    options=sampler_settings,
    seed=st.integers(0, 2**64 - 1),
    ratio=st.floats(0.001, 1.0),
    kind=st.sampled_from(["plain", "sharp", "ties"]),
    data=st.data(),
)
def test_the_loop_keeps_its_promises(
    start: NDArray[np.int64], options: SamplerSettings, seed: int, ratio: float, kind: str, data: Any
) -> None:
    """Known tokens never change, exactly the scheduled number stays masked, none at the end."""
    first = data.draw(st.integers(0, options.steps - 1))
    steps = list(
        mask_predict(
            lambda _picture, _step, tokens, rows: logits(kind, tokens, rows),
            start,
            range(len(start)),
            seed=seed,
            settings=options,
            mask_token_id=MASK,
            starting_mask_ratio=[ratio] * len(start),
            first_step=first,
        )
    )
    assert [step.index for step in steps] == list(range(first, options.steps))
    before = start
    for step in steps:
        for picture, tokens in enumerate(before):
            check(step, picture, tokens, options, ratio)
        before = step.tokens
    assert not (steps[-1].tokens == MASK).any()


def check(step: Step, picture: int, before: NDArray[np.int64], options: SamplerSettings, ratio: float) -> None:
    """One picture of one step, from the tokens before it."""
    known = before != MASK
    assert np.array_equal(step.tokens[picture][known], before[known])
    assert not step.mask[picture][known].any()
    assert ((step.predicted[picture] >= 0) & (step.predicted[picture] < CODES)).all()
    probability = step.probability[picture]
    assert ((probability >= 0) & (probability <= 1)).all()
    unknown, expected = int((~known).sum()), 0
    if step.index < options.steps - 1:
        scheduled = np.float32(ratio) * mask_ratio(options.schedule, step.index, options.steps)
        floor = int(np.floor(np.float32(before.size) * scheduled))
        expected = 0 if unknown == 0 else max(1, min(unknown - 1, floor))
    assert step.mask[picture].sum() == min(expected, unknown)


@settings(max_examples=300, deadline=None)
@given(schedule=st.sampled_from(SCHEDULES), steps=st.integers(1, 200), positions=st.integers(1, 4096))
def test_a_schedule_falls_to_nothing(schedule: Any, steps: int, positions: int) -> None:
    """Each step but the last masks fewer tokens than the one before, as long as there are any to give up."""
    unknown = positions
    for step in range(steps - 1):
        length = mask_length(schedule, step, steps, sequence_length=positions, unknown=unknown)
        assert 1 <= length <= max(1, unknown - 1)
        unknown = length


@settings(max_examples=300, deadline=None)
@given(
    scale=st.floats(0, 1e6),
    ramp=st.sampled_from(GUIDANCE_RAMPS),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    steps=st.integers(1, 100),
)
def test_guidance_stays_between_none_and_its_scale(scale: float, ramp: Any, ends: list[float], steps: int) -> None:
    values = [guidance_at(scale, ramp, (ends[0], ends[1]), step, steps) for step in range(steps)]
    assert all(min(1.0, scale) <= value <= max(1.0, scale) * (1 + 1e-12) for value in values)
    on = [value for value in values if value > 1.0]
    assert on == sorted(on)
