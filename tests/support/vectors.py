"""The kit's vectors, and random numbers by their specification alone, for tests that compare the two."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.paths import ROOT

Float64 = NDArray[np.float64]


def cases(name: str) -> list[tuple[Any, Any]]:
    content = json.loads((ROOT / "conformance" / "vectors" / f"{name}.json").read_text(encoding="utf-8"))
    return [(case["given"], case["expect"]) for case in content["cases"]]


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64-10 as its paper has it."""
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * counter[0], 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * counter[2], 2**64)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B97F4A7C15) % 2**64, (key[1] + 0xBB67AE8584CAA73B) % 2**64]
    return counter


def numerator(seed: int, picture: int, step: int, purpose: int, index: int) -> int:
    words = philox([index // 8 + 1, picture, step, purpose], [seed, 0])
    half = words[index % 8 // 2] >> (32 * (index % 2)) & 0xFFFFFFFF
    return 2 * (half >> 9) + 1


def stream(seed: str, picture: str, step: int, purpose: int, count: int) -> NDArray[np.int64]:
    generator = np.random.Philox(
        counter=np.array([0, int(picture), step, purpose], np.uint64), key=np.array([int(seed), 0], np.uint64)
    )
    halves = generator.random_raw(-(-count // 8) * 4).astype("<u8").view("<u4")[:count]
    return (2 * (halves.astype(np.int64) >> 9) + 1).astype(np.int64)


def gumbel(numerators: Any) -> Float64:
    result: Float64 = -np.log(-np.log(np.array(numerators, np.float64) / 2**24))
    return result
