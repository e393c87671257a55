"""NumPy's generator against the published vectors, and our numbers against their written specification."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime.sampling.philox import Purpose, uniforms
from amused_edge.runtime.sampling.sampler import gumbel
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "random-numbers.md"

WORD = 2**64 - 1
Words = tuple[int, int, int, int]

# Random123's kat_vectors, philox4x64 with 10 rounds: counter, key, output.
KNOWN_ANSWERS: list[tuple[Words, tuple[int, int], Words]] = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ),
    (
        (WORD, WORD, WORD, WORD),
        (WORD, WORD),
        (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
    ),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
]


def philox_4x64_10(counter: Words, key: tuple[int, int]) -> Words:
    """Philox 4x64 with 10 rounds in plain integers, from the paper (Salmon et al., SC 2011) alone."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * x0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * x2, 2**64)
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & WORD, (k1 + 0xBB67AE8584CAA73B) & WORD
    return x0, x1, x2, x3


def specified(index: int, seed: int, picture: int, step: int, purpose: int) -> int:
    """Number `index` of a stream as the document specifies it, as its odd multiple of 2^-24."""
    block, place = divmod(index, 8)
    word = philox_4x64_10((block + 1, picture, step, purpose), (seed, 0))[place // 2]
    half = (word >> 32) if place % 2 else (word & 0xFFFFFFFF)
    return 2 * (half >> 9) + 1


def numerators(values: NDArray[np.float32]) -> list[int]:
    """Exact odd multiples of 2^-24; fails for a value that is not one."""
    scaled = values.astype(np.float64) * 2**24
    whole = scaled.astype(np.int64)
    assert np.array_equal(whole, scaled)
    return [int(n) for n in whole]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_plain_implementation_gives_the_published_vectors(
    counter: Words, key: tuple[int, int], expected: Words
) -> None:
    assert philox_4x64_10(counter, key) == expected


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_numpy_gives_the_published_vectors(counter: Words, key: tuple[int, int], expected: Words) -> None:
    """NumPy adds one to the counter, all 256 bits of it, before the first block."""
    before = (sum(word << (64 * i) for i, word in enumerate(counter)) - 1) % 2**256
    words = np.array([(before >> (64 * i)) & WORD for i in range(4)], np.uint64)
    generator = np.random.Philox(counter=words, key=np.array(key, np.uint64))
    assert tuple(int(word) for word in generator.random_raw(4)) == expected


@pytest.mark.parametrize(
    ("seed", "picture", "step", "purpose"),
    [
        (0, 0, 0, Purpose.TOKENS),
        (0, 0, 0, Purpose.CONFIDENCE),
        (1, 2, 3, Purpose.TOKENS),
        (2**32, 2**32 + 5, 11, Purpose.CONFIDENCE),
        (2**63, 2**63, 99, Purpose.TOKENS),
        (2**64 - 1, 2**64 - 1, 2**64 - 1, Purpose.CONFIDENCE),
    ],
)
def test_uniforms_follow_the_specification(seed: int, picture: int, step: int, purpose: Purpose) -> None:
    """All three blocks, so block numbers, word order and half order are all seen; seeds beyond 63 bits too."""
    values = uniforms(24, seed=seed, picture=picture, step=step, purpose=purpose)
    assert values.dtype == np.float32
    assert numerators(values) == [specified(i, seed, picture, step, purpose) for i in range(24)]


def test_uniforms_are_odd_multiples_strictly_inside_the_unit_interval() -> None:
    values = uniforms(200_000, seed=3, picture=0, step=0, purpose=Purpose.TOKENS)
    assert all(n % 2 for n in numerators(values))
    assert values.min() > 0
    assert values.max() < 1


def test_extreme_halves_stay_inside_the_unit_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 24 bits instead of 23 the largest value would round to 1 and give infinite Gumbel noise."""

    class Extremes:
        def __init__(self, **_: object) -> None: ...

        def random_raw(self, count: int) -> NDArray[np.uint64]:
            return np.array([0xFFFFFFFF00000000] * count, np.uint64)

    monkeypatch.setattr(np.random, "Philox", Extremes)
    assert numerators(uniforms(2, seed=0, picture=0, step=0, purpose=Purpose.TOKENS)) == [1, 2**24 - 1]


def test_moments_are_those_of_uniform_numbers() -> None:
    """Mean 1/2 and variance 1/12 within five standard errors."""
    count = 200_000
    values = uniforms(count, seed=4, picture=1, step=2, purpose=Purpose.TOKENS).astype(np.float64)
    assert abs(values.mean() - 1 / 2) < 5 * (1 / 12 / count) ** 0.5
    assert abs(values.var() - 1 / 12) < 5 * (1 / 180 / count) ** 0.5


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 63])
def test_a_shorter_draw_is_a_prefix_of_a_longer_one(count: int) -> None:
    """A port may draw in pieces of any size."""
    draw = {"seed": 5, "picture": 1, "step": 2, "purpose": Purpose.TOKENS}
    assert np.array_equal(uniforms(count, **draw), uniforms(64, **draw)[:count])  # type: ignore[arg-type]


@pytest.mark.parametrize("first", [0, 1, 7, 8, 9, 21])
@pytest.mark.parametrize("count", [0, 1, 8, 30])
def test_a_draw_may_begin_anywhere(first: int, count: int) -> None:
    values = uniforms(count, seed=5, picture=1, step=2, purpose=Purpose.TOKENS, first=first)
    assert numerators(values) == [specified(first + i, 5, 1, 2, Purpose.TOKENS) for i in range(count)]


@pytest.mark.parametrize("change", [{"seed": 8}, {"picture": 2}, {"step": 3}, {"purpose": Purpose.CONFIDENCE}])
def test_each_part_of_the_address_gives_another_stream(change: dict[str, int]) -> None:
    address = {"seed": 7, "picture": 1, "step": 2, "purpose": Purpose.TOKENS}
    first, second = uniforms(64, **address), uniforms(64, **{**address, **change})  # type: ignore[arg-type]
    assert np.mean(first == second) < 0.05


def document_vectors() -> list[tuple[int, ...]]:
    """Rows (seed, picture, step, purpose, first index, four numerators) of the document's table."""
    rows = re.findall(r"^\|((?: *\d+ *\|){9})$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [tuple(int(cell) for cell in row.split("|")[:9]) for row in rows]


def test_the_documents_vectors_are_right() -> None:
    """Whoever ports the sampler checks against this table: the code and the plain specification must both give it."""
    vectors = document_vectors()
    assert len(vectors) >= 8
    for seed, picture, step, purpose, first, *expected in vectors:
        values = uniforms(first + 4, seed=seed, picture=picture, step=step, purpose=Purpose(purpose))
        assert numerators(values[first:]) == expected
        assert [specified(first + i, seed, picture, step, purpose) for i in range(4)] == expected


def test_the_documents_gumbel_values_are_right() -> None:
    rows = re.findall(r"^\| (\d+) \| (-?\d+\.\d+) \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(rows) == 3
    u = np.array([int(n) for n, _ in rows], np.float32) * np.float32(2.0**-24)
    np.testing.assert_allclose(gumbel(u), [float(value) for _, value in rows], rtol=0, atol=2e-6)
