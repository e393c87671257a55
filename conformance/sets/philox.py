"""Random numbers: the generator's words, the streams of uniforms, and the Gumbel noise made of them."""

import numpy as np

from amused_edge.conformance.numbers import floats, numerators, of_numerators
from amused_edge.conformance.vector_set import Tolerance, Values, VectorSet
from amused_edge.runtime.sampling import sampler
from amused_edge.runtime.sampling.philox import Purpose, uniforms

_MOST = 2**64 - 1
_PI_WORDS = ([0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89], [0x452821E638D01377])
"""Digits of pi, with which the generator's authors test theirs."""


def _words_given() -> list[Values]:
    streams = [
        (0, 0, 0, 0, 0),
        (0, 0, 0, 1, 0),
        (1, 0, 0, 0, 0),
        (0, 0, 0, 2**32 - 1, 2**32),
        (_MOST, _MOST, _MOST, 3, _MOST - 1),
        (2**63 + 12345, 7, 11, 0, 2**40 + 17),
        (0x452821E638D01377, *_PI_WORDS[0][1:], _PI_WORDS[0][0] - 1),
        (0xFFFFFFFF00000001, 1 << 32, 1 << 33, 1, 0x00000001FFFFFFFF),
    ]
    return [
        {"seed": str(seed), "picture": str(picture), "step": str(step), "purpose": str(purpose), "block": str(block)}
        for seed, picture, step, purpose, block in streams
    ]


def _words(given: Values) -> Values:
    """NumPy counts up before it draws, so block b has the counter b + 1."""
    counter = [int(given[name]) for name in ("block", "picture", "step", "purpose")]
    generator = np.random.Philox(
        counter=np.array(counter, np.uint64), key=np.array([int(given["seed"]), 0], dtype=np.uint64)
    )
    return {"words": [f"{int(word):016x}" for word in generator.random_raw(4)]}


def _uniforms_given() -> list[Values]:
    streams = [
        *(
            (seed, picture, step, purpose, 0, 12)
            for seed in (0, 1)
            for picture, step in ((0, 0), (3, 7))
            for purpose in range(4)
        ),
        (12345, 2, 11, 0, 2097148, 9),
        (12345, 2, 11, 1, 252, 4),
        (_MOST, 0, 0, 0, 0, 4),
        (_MOST, 7, 3, 1, 4, 5),
        (2**32, 2**32 + 1, 0, 0, 1, 7),
        (5, _MOST, 9999, 2, 7, 2),
        (5, 0, 0, 0, 2**33 + 5, 10),
        *((9, 0, 0, 0, first, 1) for first in range(9)),
        (9, 0, 0, 0, 0, 40),
    ]
    names = ("first", "count")
    return [
        {"seed": str(s), "picture": str(p), "step": step, "purpose": purpose, **dict(zip(names, rest, strict=True))}
        for s, p, step, purpose, *rest in streams
    ]


def _uniforms(given: Values) -> Values:
    drawn = uniforms(
        given["count"],
        seed=int(given["seed"]),
        picture=int(given["picture"]),
        step=given["step"],
        purpose=Purpose(given["purpose"]),
        first=given["first"],
    )
    return {"numerators": numerators(drawn)}


def _gumbel_given() -> list[Values]:
    edges = [1, 3, 5, 255, 65535, 6171641, 6171643, 8388607, 8388609, 16777211, 16777213, 16777215]
    stream = uniforms(116, seed=21, picture=0, step=0, purpose=Purpose.CONFIDENCE)
    return [{"numerators": edges}, {"numerators": numerators(stream)}]


def _gumbel(given: Values) -> Values:
    return {"gumbel": floats(sampler.gumbel(of_numerators(given["numerators"])))}


SETS = (
    VectorSet("philox-words", "The four words of a block of Philox 4x64-10.", _words_given, _words),
    VectorSet("uniforms", "Uniforms of a stream, each as the whole number u * 2^24.", _uniforms_given, _uniforms),
    VectorSet(
        "gumbel",
        "Gumbel noise in float32 of uniforms u = numerator * 2^-24.",
        _gumbel_given,
        _gumbel,
        {"gumbel": Tolerance(1e-6, 3e-7)},
    ),
)
