"""The sampler as a graph, beside the conformance vectors, the runtime's sampler, and NumPy in float64."""

import itertools
import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from amused_edge.conformance.numbers import floats, table
from amused_edge.conformance.vector_set import Tolerance, differences
from amused_edge.runtime.arrays import FloatArray, IntArray
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.mask_predict import mask_predict
from amused_edge.runtime.sampling.options import SamplerSettings
from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.sampling.schedule import mask_ratio, temperature_at
from tests.support.paths import ROOT
from tests.support.sampler_graph import INNER, SamplerGraph

VECTORS = ROOT / "conformance" / "vectors"


def vectors(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return content


@cache
def graph(grid: tuple[int, int], codes: int, mask: int) -> SamplerGraph:
    return SamplerGraph(grid, codes, mask)


def settings_of(given: dict[str, Any]) -> SamplerSettings:
    pairs = {key: tuple(value) if isinstance(value, list) else value for key, value in given["settings"].items()}
    return SamplerSettings(**pairs)


def steps_of(given: dict[str, Any], most: int | None = None) -> list[dict[str, Any]]:
    """Run a vector's loop with the graph alone."""
    settings, grid = settings_of(given), (given["grid"][0], given["grid"][1])
    run = graph(grid, given["codebook_size"], given["mask_token_id"])
    tokens, probability = np.array(given["tokens"], np.int64).reshape(grid), np.ones(grid, np.float32)
    everywhere = np.arange(tokens.size)
    told: list[dict[str, Any]] = []
    for step in range(given["first_step"], settings.steps)[:most]:
        rules = (given["logits"]["unconditional"], given["logits"]["conditional"])
        logits = np.stack([table(rule, step, everywhere, run.codes) for rule in rules])
        place = {"seed": int(given["seed"]), "picture": int(given["picture"]), "step": step}
        ratio = given["starting_mask_ratio"]
        after = run(logits, tokens, settings, probability=probability, ratio=ratio, **place)
        tokens, probability = after["next_tokens"], after["next_probability"]
        np.testing.assert_array_equal(tokens, np.where(after["mask"], given["mask_token_id"], after["predicted"]))
        told.append(
            {
                "step": step,
                "predicted": after["predicted"].reshape(-1).tolist(),
                "masked": np.flatnonzero(after["mask"]).tolist(),
                "confidence": floats(after["confidence"].reshape(-1)),
                "probability": floats(probability.reshape(-1)),
            }
        )
    return told


def test_the_vectors_of_whole_loops() -> None:
    content = vectors("loops")
    tolerance = {name: Tolerance(**far) for name, far in content["tolerance"].items()}
    assert len(content["cases"]) > 20
    for case in content["cases"]:
        assert differences(case["expect"], {"steps": steps_of(case["given"])}, tolerance) == []


def test_the_vectors_of_steps_at_full_size() -> None:
    for case in vectors("full-steps")["cases"]:
        (step,) = steps_of(case["given"], most=1)
        assert {name: step[name] for name in case["expect"]} == case["expect"]


def test_the_vectors_of_guidance_scales() -> None:
    run = graph((1, 2), 8, 9)
    for case in vectors("guidance-scales")["cases"]:
        run_of = {key: tuple(value) if isinstance(value, list) else value for key, value in case["given"].items()}
        settings = SamplerSettings(**run_of)
        scales = run(run.nothing(), np.zeros((1, 2), np.int64), settings)["guidance"]
        np.testing.assert_allclose(scales, case["expect"]["scales"], rtol=1e-14, atol=0)


@pytest.mark.parametrize(("grid", "codes"), [((4, 5), 16), ((3, 7), 37), ((1, 2), 11)])
def test_pictures_beside_the_runtime(grid: tuple[int, int], codes: int) -> None:
    """Two pictures at a time, partly known or all masked, every ramp, schedule and order, seeds of all 64 bits."""
    generator, run, mask = np.random.default_rng(codes), graph(grid, codes, codes + 2), codes + 2
    size, kinds = grid[0] * grid[1], itertools.cycle([(2.0, 0.0), 1.5, (0.0, 0.0), (8.0, 0.3)])
    for ramp, schedule, order in itertools.product(
        ("constant", "linear", "cosine"), ("cosine", "linear"), ("confidence", "halton")
    ):
        choices: dict[str, Any] = {"guidance_ramp": ramp, "schedule": schedule, "order": order}
        interval = [(0.0, 1.0), (0.3, 0.5)][int(generator.integers(2))]
        settings = SamplerSettings(5, 2.7, next(kinds), guidance_interval=interval, **choices)
        seed, *pictures = (int(word) for word in generator.integers(0, 2**64, 3, np.uint64))
        start = generator.integers(0, codes, (2, *grid))
        start[generator.random(start.shape) < generator.choice([0.0, 0.4, 1.0])] = mask
        logits = (generator.standard_normal((settings.steps, 2, size, codes)) * 3).astype(np.float32)

        def denoise(
            _: int,
            step: int,
            tokens: IntArray,
            rows: IntArray,
            settings: SamplerSettings = settings,
            logits: FloatArray = logits,
        ) -> FloatArray:
            scale = settings.guidance_at(step)
            u, c = logits[step][:, rows]
            return sampler.guide(u, c, scale) if scale > 1 else c

        ratios = [0.5, 1.0]
        loop = mask_predict(
            denoise, start, pictures, seed=seed, settings=settings, mask_token_id=mask, starting_mask_ratio=ratios
        )
        ours = [(tokens, np.ones(grid, np.float32)) for tokens in start]
        for step in loop:
            branches = logits[step.index] if settings.guidance_at(step.index) > 1 else logits[step.index, 1:]
            for place, (tokens, probability) in enumerate(ours):
                after = run(
                    branches,
                    tokens,
                    settings,
                    seed=seed,
                    picture=pictures[place],
                    step=step.index,
                    probability=probability,
                    ratio=ratios[place],
                )
                np.testing.assert_array_equal(after["next_tokens"], step.tokens[place])
                np.testing.assert_array_equal(after["predicted"], step.predicted[place])
                np.testing.assert_array_equal(after["mask"], step.mask[place])
                np.testing.assert_allclose(after["confidence"], step.confidence[place], rtol=1e-6, atol=2e-5)
                np.testing.assert_allclose(after["next_probability"], step.probability[place], rtol=1e-5, atol=1e-7)
                ours[place] = after["next_tokens"], after["next_probability"]


def test_numbers_are_the_generators_to_the_bit() -> None:
    """All uniforms of a step with every third token masked, beside NumPy's own generator."""
    grid, codes, mask = (4, 6), 16, 20
    run = SamplerGraph(grid, codes, mask, tuple(INNER))
    tokens = np.where(np.arange(24) % 3 == 0, mask, 1).reshape(grid)
    for seed, picture, step in ((0, 0, 0), (2**64 - 1, 2**63, 7), (12345, 2, 11)):
        found = run(run.nothing(), tokens, SamplerSettings(20, 0.0), seed=seed, picture=picture, step=step)
        place: dict[str, Any] = {"seed": seed, "picture": picture}
        whole = uniforms(24 * codes, purpose=Purpose.TOKENS, step=step, **place).reshape(24, codes)
        ours = found["uniforms"].reshape(-1)
        np.testing.assert_array_equal(ours[: 8 * codes].reshape(8, codes), whole[::3])
        after = uniforms(24, purpose=Purpose.CONFIDENCE, step=step, **place)
        np.testing.assert_array_equal(ours[8 * codes : 8 * codes + 24], after)
        (u,) = uniforms(1, purpose=Purpose.ORDER, step=0, **place)
        assert found["order_start"] == int(np.float64(u) * 24)


def test_lengths_and_temperatures_are_the_schedules_to_the_bit() -> None:
    """Every step of runs of many lengths, the traps of float32 among them (2/3 of 12 steps leaves 127 of 256)."""
    run = SamplerGraph((16, 16), 8, 9, ("mask_length", "temperature_of_step"))
    masked, known = np.full((16, 16), 9), np.zeros((16, 16), np.int64)
    for steps, schedule in itertools.product((1, 2, 3, 7, 12, 50), ("cosine", "linear")):
        settings = SamplerSettings(steps, 0.0, (2.0, 0.1), schedule)  # type: ignore[arg-type]
        for step in range(steps):
            found = run(run.nothing(), masked, settings, step=step)
            left = int(np.floor(np.float32(256) * mask_ratio(settings.schedule, step, steps)))
            assert found["mask_length"] == (0 if step == steps - 1 else max(1, min(255, left)))
            assert found["mask"].sum() == found["mask_length"]
            assert found["temperature_of_step"] == temperature_at(settings.temperature, step, steps)
    assert run(run.nothing(), known, settings)["mask_length"] == 0


def test_confidences_beside_float64() -> None:
    grid, codes, mask = (4, 6), 16, 20
    run, generator = graph(grid, codes, mask), np.random.default_rng(3)
    logits = (generator.standard_normal((2, 24, codes)) * 4).astype(np.float32)
    settings = SamplerSettings(2, 3.0, (1.7, 0.0))
    found = run(logits, np.full(grid, mask), settings, seed=9, picture=4)
    u, c = logits.astype(np.float64)
    guided = u + 3.0 * (c - u)
    noise, late = (
        -np.log(-np.log(uniforms(count, seed=9, picture=4, step=0, purpose=purpose).astype(np.float64)))
        for count, purpose in ((24 * codes, Purpose.TOKENS), (24, Purpose.CONFIDENCE))
    )
    drawn = (guided + noise.reshape(24, codes)).argmax(axis=1)
    np.testing.assert_array_equal(found["predicted"].reshape(-1), drawn)
    shifted = guided - guided.max(axis=1, keepdims=True)
    own = shifted[np.arange(24), drawn] - np.log(np.exp(shifted).sum(axis=1))
    np.testing.assert_allclose(found["next_probability"].reshape(-1), np.exp(own), rtol=2e-5)
    np.testing.assert_allclose(found["confidence"].reshape(-1), own + 1.7 * late, atol=2e-5)


@pytest.mark.parametrize("name", ["guidance_ramp", "schedule", "order", "step"])
def test_what_there_is_not_is_refused(name: str) -> None:
    run = graph((1, 2), 8, 9)
    with pytest.raises(Exception, match="out of data bounds"):
        run(run.nothing(), np.zeros((1, 2), np.int64), SamplerSettings(3, 0.0), **{name: np.array(3)})


def test_a_guided_step_with_one_branch_is_refused() -> None:
    run = graph((1, 2), 8, 9)
    with pytest.raises(Exception, match="out of data bounds"):
        run(run.nothing(), np.full((1, 2), 9), SamplerSettings(3, 2.0))


def test_logits_that_are_not_finite_show() -> None:
    run = graph((1, 2), 8, 9)
    logits = run.nothing()
    logits[0, 1, 3] = np.nan
    after = run(logits, np.full((1, 2), 9), SamplerSettings(3, 0.0))
    assert np.isnan(after["next_probability"]).tolist() == [[False, True]]
