"""The vectors beside what is independent of the runtime: Philox in whole numbers, float64, transformers, diffusers."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AmusedScheduler
from scipy.stats import qmc
from transformers import CLIPTokenizer

from tests.support.paths import DEMO_CHECKPOINT
from tests.support.vectors import Float64, cases, gumbel, numerator, philox, stream

# --- Random numbers, from the specification and whole numbers alone.


def test_the_oracle_has_the_published_words() -> None:
    words = [f"{word:016x}" for word in philox([0] * 4, [0] * 2)]
    assert words == ["16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b"]


def test_words() -> None:
    for given, expect in cases("philox-words"):
        counter = [int(given[name]) for name in ("block", "picture", "step", "purpose")]
        words = philox([(counter[0] + 1) % 2**64, *counter[1:]], [int(given["seed"]), 0])
        assert [f"{word:016x}" for word in words] == expect["words"], given


def test_uniforms() -> None:
    for given, expect in cases("uniforms"):
        stream = (int(given["seed"]), int(given["picture"]), given["step"], given["purpose"])
        indices = range(given["first"], given["first"] + given["count"])
        assert [numerator(*stream, index) for index in indices] == expect["numerators"], given


def test_halton_starts() -> None:
    for given, expect in cases("halton-starts"):
        n = numerator(int(given["seed"]), int(given["picture"]), 0, 3, 0)
        assert n * given["positions"] // 2**24 == expect["start"]


def test_gumbel_noise_in_float64() -> None:
    for given, expect in cases("gumbel"):
        np.testing.assert_allclose(expect["gumbel"], gumbel(given["numerators"]), rtol=3e-7, atol=1e-6)


# --- What depends on the step.


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_mask_ratios_beside_torch(schedule: str) -> None:
    """A float32 cosine of another library may be one place off in the last bit."""
    for given, expect in cases("mask-ratios"):
        if given["schedule"] == schedule:
            ratio = (torch.arange(given["steps"], dtype=torch.float32) + 1) / given["steps"]
            theirs = torch.cos(ratio * math.pi / 2) if schedule == "cosine" else 1 - ratio
            np.testing.assert_allclose(expect["ratios"], theirs.numpy(), rtol=3e-7, atol=1e-7)


def test_mask_lengths_beside_the_schedulers_own_steps() -> None:
    """The real AmusedScheduler, of logits whose confidences are all different."""
    for given, expect in cases("mask-lengths"):
        n, steps, unknown = given["sequence_length"], given["steps"], given["unknown"]
        if steps > 12 or n > 256 or unknown == 0:  # it would mask one known token where nothing is unknown
            continue
        scheduler = AmusedScheduler(mask_token_id=9, masking_schedule=given["schedule"])
        scheduler.set_timesteps(steps, (0, 0))
        logits = torch.stack([torch.linspace(-3, 3, n), torch.zeros(n)], dim=-1)[None]
        for step, length in enumerate(expect["lengths"]):
            sample = torch.zeros(1, n, dtype=torch.int64)
            sample[:, :unknown] = 9
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "multinomial", lambda p, *_, **__: torch.zeros(len(p), 1, dtype=torch.int64))
                after = scheduler.step(
                    logits, steps - 1 - step, sample, starting_mask_ratio=given["starting_mask_ratio"]
                ).prev_sample
            assert int((after == 9).sum()) == length, (given, step)
            unknown = length


def test_temperatures_beside_the_scheduler() -> None:
    for given, expect in cases("temperatures"):
        scheduler = AmusedScheduler(mask_token_id=9)
        ends = given["temperature"]
        scheduler.set_timesteps(given["steps"], tuple(ends) if isinstance(ends, list) else ends)
        np.testing.assert_allclose(expect["temperatures"], scheduler.temperatures.numpy(), rtol=1e-6, atol=1e-6)


def test_guidance_scales_by_hand() -> None:
    found = {json.dumps(given): expect["scales"] for given, expect in cases("guidance-scales")}

    def scales(scale: float, ramp: str, interval: list[float], steps: int) -> list[float]:
        names = ("guidance_scale", "guidance_ramp", "guidance_interval", "steps")
        return found[json.dumps(dict(zip(names, (scale, ramp, interval, steps), strict=True)))]

    assert scales(10.0, "constant", [0.25, 0.75], 12) == [1.0] * 3 + [10.0] * 6 + [1.0] * 3
    assert scales(4.0, "constant", [0.125, 0.125], 4) == [4.0, 1.0, 1.0, 1.0]
    np.testing.assert_allclose(scales(10.0, "linear", [0.0, 1.0], 12), np.linspace(1, 10, 12), rtol=1e-12)
    half_wave = 1 + 9 * (1 - np.cos(np.linspace(0, np.pi, 12))) / 2
    np.testing.assert_allclose(scales(10.0, "cosine", [0.0, 1.0], 12), half_wave, rtol=1e-12)
    assert scales(10.0, "cosine", [0.0, 1.0], 1) == [10.0]
    assert scales(0.5, "constant", [0.0, 1.0], 4) == [0.5] * 4


def test_halton_orders_beside_scipy() -> None:
    for given, expect in cases("halton-orders"):
        height, width = given["grid"]
        points = qmc.Halton(2, scramble=False).random(64 * height * width)[1:]  # its first point is 0
        visited = np.floor(points[:, 0] * height) * width + np.floor(points[:, 1] * width)
        assert list(dict.fromkeys(visited.astype(int).tolist())) == expect["order"]


# --- The parts of a step.


def softmax_log(logits: Float64) -> Float64:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Float64 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def test_guided_logits_in_float64() -> None:
    for given, expect in cases("guided-logits"):
        u, c = (np.array(given[name], np.float64) for name in ("unconditional", "conditional"))
        exact = u + given["guidance_scale"] * (c - u)
        np.testing.assert_allclose(expect["logits"], exact, rtol=3e-7, atol=3e-6)


def test_draws_in_float64() -> None:
    """Where two are equal the first is the lowest code; the loops have what is nearly equal."""
    for given, expect in cases("draws"):
        noisy = np.array(given["logits"]) + gumbel(given["numerators"])
        for row, token in zip(noisy, expect["tokens"], strict=True):
            assert token == int(np.flatnonzero(row >= row.max() - 1e-5)[0])


def test_log_probabilities_in_float64() -> None:
    for given, expect in cases("log-probabilities"):
        logits, tokens = np.array(given["logits"], np.float64), given["tokens"]
        exact = np.maximum(softmax_log(logits)[np.arange(len(tokens)), tokens], math.log(1e-20))
        np.testing.assert_allclose(expect["log_probabilities"], exact, rtol=1e-6, atol=2e-6)


def test_confidences_in_float64() -> None:
    for given, expect in cases("confidences"):
        exact = [None] * len(given["numerators"])
        noise = gumbel(given["numerators"])
        for row, logarithm in zip(given["rows"], given["log_probabilities"], strict=True):
            exact[row] = logarithm + given["temperature"] * noise[row]
        assert [value is None for value in exact] == [value is None for value in expect["confidences"]]
        pairs = [(a, b) for a, b in zip(exact, expect["confidences"], strict=True) if a is not None]
        for one, other in pairs:
            assert abs(one - other) <= 1e-5 + 1e-6 * abs(one)


def test_remasks_by_sorting() -> None:
    for given, expect in cases("remasks"):
        ranked = sorted(
            (math.inf if confidence is None else confidence, place)
            for place, confidence in enumerate(given["confidences"])
        )
        assert sorted(place for _, place in ranked[: given["mask_length"]]) == expect["masked"]


# --- Whole loops, in float64 and with random numbers of NumPy's generator.


def test_numpys_stream_is_the_oracles() -> None:
    assert stream("12345", "2", 11, 0, 20)[13] == numerator(12345, 2, 11, 0, 13)


def logits_of(rule: Any, step: int, positions: int, codes: int) -> Float64:
    if "constant" in rule:
        return np.full((positions, codes), float(rule["constant"]))
    numbers = stream(rule["seed"], rule["picture"], step, 0, positions * codes)
    made = ((numbers >> rule["drop"]) - 2 ** (23 - rule["drop"])) / 2 ** (20 - rule["drop"])
    return made.reshape(positions, codes)


def length_after(settings: Any, step: int, positions: int, unknown: int, share: float) -> int:
    if step == settings["steps"] - 1 or unknown == 0:
        return 0
    ratio = np.float32(step + 1) / np.float32(settings["steps"])
    angle = ratio * np.float32(math.pi) / np.float32(2)
    left = np.float32(1) - ratio if settings["schedule"] == "linear" else np.float32(math.cos(float(angle)))
    return max(1, min(unknown - 1, int(np.float32(positions) * (np.float32(share) * left))))


def guidance(settings: Any, step: int) -> float:
    scale, (begin, end), steps = settings["guidance_scale"], settings["guidance_interval"], settings["steps"]
    if not begin <= (step + 0.5) / steps <= end or scale <= 1:
        return 1.0
    if steps == 1 or settings["guidance_ramp"] == "constant":
        return float(scale)
    share = step / (steps - 1)
    return float(
        1 + (scale - 1) * (share if settings["guidance_ramp"] == "linear" else (1 - math.cos(math.pi * share)) / 2)
    )


def walk(given: Any) -> Iterator[tuple[list[int], list[int], Float64]]:
    """Yield (predicted, masked, confidence) of each step."""
    settings, codes, mask_id = given["settings"], given["codebook_size"], given["mask_token_id"]
    tokens = np.array(given["tokens"])
    order = halton(given)
    temperature = settings["temperature"]
    first, last = temperature if isinstance(temperature, list) else (temperature, 0.01)
    for step in range(given["first_step"], settings["steps"]):
        rows = np.flatnonzero(tokens == mask_id)
        both = [
            logits_of(given["logits"][name], step, len(tokens), codes)[rows]
            for name in ("unconditional", "conditional")
        ]
        scale = guidance(settings, step)
        logits = both[0] + scale * (both[1] - both[0]) if scale > 1 else both[1]
        noise = gumbel(stream(given["seed"], given["picture"], step, 0, len(tokens) * codes)).reshape(-1, codes)[rows]
        drawn = np.argmax(logits + noise, axis=1)
        tokens = tokens.copy()
        tokens[rows] = drawn
        confidence = np.full(len(tokens), np.inf)
        if settings["order"] == "halton":
            confidence[rows] = [-order.index(row) for row in rows]
        else:
            t = first + (last - first) * step / max(1, settings["steps"] - 1)
            own = gumbel(stream(given["seed"], given["picture"], step, 1, len(tokens)))[rows]
            confidence[rows] = softmax_log(logits)[np.arange(len(rows)), drawn] + t * own
        length = length_after(settings, step, len(tokens), len(rows), given["starting_mask_ratio"])
        masked = sorted(np.lexsort((np.arange(len(tokens)), confidence.round(9)))[:length].tolist())
        yield tokens.tolist(), masked, confidence
        tokens[masked] = mask_id


def halton(given: Any) -> list[int]:
    height, width = given["grid"]
    points = qmc.Halton(2, scramble=False).random(64 * height * width)[1:]
    visited = np.floor(points[:, 0] * height) * width + np.floor(points[:, 1] * width)
    order = list(dict.fromkeys(visited.astype(int).tolist()))
    start = numerator(int(given["seed"]), int(given["picture"]), 0, 3, 0) * len(order) // 2**24
    return order[start:] + order[:start]


def test_loops_in_float64() -> None:
    for given, expect in cases("loops"):
        steps = list(walk(given))
        assert len(steps) == len(expect["steps"])
        for (predicted, masked, confidence), told in zip(steps, expect["steps"], strict=True):
            assert (told["predicted"], told["masked"]) == (predicted, masked), given
            found = [math.inf if value is None else value for value in told["confidence"]]
            np.testing.assert_allclose(found, confidence, rtol=1e-6, atol=2e-5)


def test_full_steps_in_float64() -> None:
    for given, expect in cases("full-steps"):
        predicted, masked, _ = next(walk(given))
        assert (expect["predicted"], expect["masked"]) == (predicted, masked)


# --- Ids.


@pytest.mark.parametrize("pad", ["<|endoftext|>", "!"])
def test_ids_beside_transformers(pad: str) -> None:
    """The demo's tokenizer, and the one that pads with "!"."""
    tokenizer = CLIPTokenizer.from_pretrained(DEMO_CHECKPOINT / "tokenizer", pad_token=pad)
    wanted = [] if pad != "!" else ["added_tokens", "padding"]
    chosen = [(g, e) for g, e in cases("tokenizer-ids") if sorted({edit["path"][0] for edit in g["edits"]}) == wanted]
    assert len(chosen) == (15 if pad == "!" else 373)
    ids = tokenizer([g["text"] for g, _ in chosen], padding="max_length", truncation=True, max_length=77).input_ids
    for (given, expect), theirs in zip(chosen, ids, strict=True):
        assert expect["ids"] + [expect["pad_id"]] * (77 - len(expect["ids"])) == theirs, given["text"]
