"""Several sources of logits asked about the same states, and what is collected of their answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from amused_edge.benchmarks.subjects.teacher_forcing import LogitMeter, LogitSource, PictureMeter, State, follow
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.bundle.measurements import LogitFidelity, PictureFidelity
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms

HEIGHT, WIDTH, CODES, MASK = 4, 6, 20, 25
GEOMETRY = Geometry(
    image_height=4 * HEIGHT,
    image_width=4 * WIDTH,
    grid_height=HEIGHT,
    grid_width=WIDTH,
    codebook_size=CODES,
    mask_token_id=MASK,
    text_length=77,
)
SETTINGS = SamplerSettings(steps=7, temperature=(3.0, 0.5), schedule="linear")


def network(number: int) -> LogitSource:
    """Logits that depend on the whole grid, as a network's do."""

    def logits(_step: int, tokens: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        seed = int(np.sum(tokens.reshape(-1) * np.arange(1, tokens.size + 1)))
        return np.random.default_rng([number, seed]).standard_normal((tokens.size, CODES), np.float32)[rows]

    return logits


def followed(sources: dict[str, LogitSource], driver: str, **options: Any) -> list[State]:
    """All states at once: what a state holds must not change while the next ones are drawn."""
    return list(follow(sources, driver, GEOMETRY, SETTINGS, **options))


# --- Following.


@pytest.mark.parametrize(("seed", "picture"), [(0, 0), (2**63, 5)])
@pytest.mark.parametrize("settings", [SETTINGS, SamplerSettings(steps=1), SamplerSettings(steps=40)], ids=str)
def test_states_are_those_that_the_loop_passes_through(settings: SamplerSettings, seed: int, picture: int) -> None:
    asked: list[tuple[Any, Any]] = []

    def denoise(_: int, step: int, tokens: Any, rows: Any) -> Any:
        asked.append((tokens.copy(), rows.copy()))
        return network(1)(step, tokens, rows)

    start = np.full((1, HEIGHT, WIDTH), MASK)
    steps = list(mask_predict(denoise, start, [picture], seed=seed, settings=settings, mask_token_id=MASK))
    states = list(follow({"a": network(1)}, "a", GEOMETRY, settings, seed=seed, picture=picture))
    assert len(states) == settings.steps
    for index, (state, step, (tokens, rows)) in enumerate(zip(states, steps, asked, strict=True)):
        assert state.step == index
        assert np.array_equal(state.tokens, tokens)
        assert np.array_equal(state.rows, rows)
        assert np.array_equal(state.logits["a"], network(1)(index, tokens, rows))
        assert np.array_equal(state.predicted, step.predicted[0])
    assert np.array_equal(states[-1].predicted, steps[-1].tokens[0])
    assert states[-1].predicted.max() < CODES


def test_it_starts_all_masked_and_rows_are_what_is_masked() -> None:
    states = followed({"a": network(1)}, "a")
    assert (states[0].tokens == MASK).all()
    for state in states:
        assert np.array_equal(state.rows, np.flatnonzero(state.tokens == MASK))
    lengths = [len(state.rows) for state in states]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(lengths)


def test_the_drivers_tokens_are_drawn_with_the_states_noise() -> None:
    """Gumbel-max by its definition, in float64; what was known stays."""
    for state in followed({"a": network(1), "b": network(2)}, "b", seed=9, picture=2):
        noise = -np.log(-np.log(state.uniforms.astype(np.float64)))
        drawn = np.argmax(state.logits["b"] + noise, axis=1)
        assert np.array_equal(state.predicted.reshape(-1)[state.rows], drawn)
        known = state.tokens != MASK
        assert np.array_equal(state.predicted[known], state.tokens[known])


def test_the_noise_belongs_to_seed_picture_step_and_position() -> None:
    for state in followed({"a": network(1)}, "a", seed=9, picture=2):
        table = uniforms(HEIGHT * WIDTH * CODES, seed=9, picture=2, step=state.step, purpose=Purpose.TOKENS)
        assert np.array_equal(state.uniforms, table.reshape(-1, CODES)[state.rows])


def test_all_sources_are_asked_once_about_the_same_states() -> None:
    asked: dict[str, list[tuple[int, Any, Any]]] = {"a": [], "b": [], "c": []}

    def watched(name: str, number: int) -> LogitSource:
        def logits(step: int, tokens: Any, rows: Any) -> Any:
            asked[name].append((step, tokens.copy(), rows.copy()))
            return network(number)(step, tokens, rows)

        return logits

    states = followed({name: watched(name, number) for number, name in enumerate(asked)}, "b")
    for number, name in enumerate(asked):
        for state, (step, tokens, rows) in zip(states, asked[name], strict=True):
            assert step == state.step
            assert np.array_equal(tokens, state.tokens)
            assert np.array_equal(rows, state.rows)
            assert np.array_equal(state.logits[name], network(number)(step, tokens, rows))


def test_without_more_words_it_is_the_first_picture_of_seed_0() -> None:
    named = followed({"a": network(1)}, "a", seed=0, picture=0)
    for state, other in zip(followed({"a": network(1)}, "a"), named, strict=True):
        assert np.array_equal(state.uniforms, other.uniforms)
        assert np.array_equal(state.predicted, other.predicted)


def test_only_the_driver_leads() -> None:
    alone = followed({"a": network(1)}, "a")
    together = followed({"z": network(3), "a": network(1), "b": network(2)}, "a")
    other = followed({"a": network(1), "b": network(2)}, "b")
    for one, two in zip(alone, together, strict=True):
        assert np.array_equal(one.tokens, two.tokens)
        assert np.array_equal(one.predicted, two.predicted)
    assert not np.array_equal(alone[-1].predicted, other[-1].predicted)


def test_a_grid_of_one_token_can_be_followed() -> None:
    geometry = Geometry(1, 1, 1, 1, CODES, MASK, 77)
    states = list(follow({"a": network(1)}, "a", geometry, SETTINGS))
    assert [state.rows.tolist() for state in states] == [[0]] * SETTINGS.steps


# --- Measuring logits.


def states_of(sizes: list[tuple[int, int]]) -> list[State]:
    """States with random logits of two sources: (step, rows) each. The second is near the first, but not too near."""
    rng = np.random.default_rng(0)
    states = []
    for step, rows in sizes:
        reference = 3 * rng.standard_normal((rows, CODES), np.float32)
        other = reference + rng.standard_normal((rows, CODES), np.float32)
        noise = rng.random((rows, CODES), np.float32) * np.float32(0.99) + np.float32(0.005)
        grid = np.full((HEIGHT, WIDTH), MASK)
        states.append(State(step, grid, np.arange(rows), {"a": reference, "b": other}, noise, grid))
    return states


def measured(states: list[State], change: Callable[[Any], Any] = lambda logits: logits) -> LogitFidelity:
    meter = LogitMeter()
    for state in states:
        meter.add(state.logits["a"], change(state.logits["b"]), state)
    return meter.result()


def test_a_meter_against_plain_formulas() -> None:
    """Rows weigh alike however many a step has; correlations are of steps, without those of a single row."""
    states = states_of([(0, 24), (1, 10), (2, 1), (0, 24), (1, 3)])
    kl, distances, top1, top5, equal, correlations, errors = ([] for _ in range(7))
    for state in states:
        a, b = (state.logits[name].astype(np.float64) for name in "ab")
        p, q = scipy.special.softmax(a, -1), scipy.special.softmax(b, -1)
        kl += (p * np.log(p / q)).sum(-1).tolist()
        distances += (np.abs(p - q).sum(-1) / 2).tolist()
        gumbel = -np.log(-np.log(state.uniforms.astype(np.float64)))
        drawn, others = (a + gumbel).argmax(-1), (b + gumbel).argmax(-1)
        equal += (drawn == others).tolist()
        for x, y in zip(a, b, strict=True):
            top1.append(x.argmax() == y.argmax())
            top5.append(len(set(x.argsort()[-5:]) & set(y.argsort()[-5:])) / 5)
        errors.append(np.abs(a - b).max() / np.abs(a).max())
        if len(a) > 1:
            rows = np.arange(len(a))
            correlations.append(scipy.stats.spearmanr(p[rows, drawn], q[rows, drawn]).statistic)
    found = measured(states)
    assert (found.generations, found.rows) == (2, 62)
    assert found.mean_kl == pytest.approx(np.mean(kl), rel=1e-6)
    assert found.max_kl == pytest.approx(np.max(kl), rel=1e-6)
    assert found.total_variation == pytest.approx(np.mean(distances), rel=1e-6)
    assert found.top1 == pytest.approx(np.mean(top1))
    assert found.top5 == pytest.approx(np.mean(top5))
    assert found.equal_draws == pytest.approx(np.mean(equal))
    assert found.confidence_correlation == pytest.approx(np.mean(correlations), abs=1e-9)
    assert found.max_logit_error == pytest.approx(np.max(errors), rel=1e-6)
    assert 0.1 < found.equal_draws < 0.99  # else the numbers above would prove little
    assert 0.1 < found.confidence_correlation < 0.99


def test_a_source_beside_itself_is_exactly_perfect() -> None:
    meter = LogitMeter()
    for state in followed({"a": network(1), "b": network(1)}, "a"):
        meter.add(state.logits["a"], state.logits["b"], state)
    rows = sum(len(state.rows) for state in followed({"a": network(1)}, "a"))
    assert meter.result() == LogitFidelity(1, rows, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)


def test_a_correlation_needs_two_rows() -> None:
    assert measured(states_of([(0, 1), (1, 1)])).confidence_correlation == 1.0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nonsense_in_one_row_cannot_be_missed() -> None:
    def spoil(logits: Any) -> Any:
        return np.where(np.arange(len(logits))[:, None] == 2, np.float32(np.nan), logits)

    found = measured(states_of([(0, 24), (1, 10)]), spoil)
    assert found.mean_kl == found.max_kl == found.max_logit_error == np.inf
    assert found.confidence_correlation == -1.0


def test_an_empty_meter_has_no_result() -> None:
    with pytest.raises(ValueError, match="no state was compared"):
        LogitMeter().result()
    with pytest.raises(ValueError, match="no picture was compared"):
        PictureMeter().result()


# --- Measuring pictures.


def picture(size: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(20, 236, (size, size + 3, 3), np.uint8)


def test_pictures_against_plain_formulas() -> None:
    """The noise ratio is of the mean squared error over all pictures, not the mean of ratios, and bytes do not wrap."""
    image = picture()
    pairs = [(image, image + np.uint8(16)), (image, image - np.uint8(4)), (image, image)]
    meter = PictureMeter()
    for (reference, other), share in zip(pairs, (0.5, 1.0, 0.9), strict=True):
        meter.add(reference, other, share)
    found = meter.result()
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / ((16**2 + 4**2) / 3)))
    assert found.worst_psnr == pytest.approx(24.05, abs=0.005)
    kind: dict[str, Any] = {"gaussian_weights": True, "use_sample_covariance": False, "channel_axis": -1}
    expected = [structural_similarity(a, b, sigma=1.5, data_range=255, **kind) for a, b in pairs]
    assert found.ssim == pytest.approx(np.mean(expected))
    assert found.equal_codes == pytest.approx(0.8)


def test_equal_pictures_have_no_noise_ratio() -> None:
    """None, because JSON has no infinity."""
    meter = PictureMeter()
    meter.add(picture(), picture(), 1.0)
    assert meter.result() == PictureFidelity(None, None, 1.0, 1.0)


def test_pictures_too_small_for_the_window_have_no_similarity() -> None:
    meter = PictureMeter()
    meter.add(picture(10), picture(10) + np.uint8(1), 0.25)
    found = meter.result()
    assert found.ssim is None
    assert found.psnr == found.worst_psnr == pytest.approx(48.130803, abs=1e-6)
    assert found.equal_codes == 0.25
