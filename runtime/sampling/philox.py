"""Random numbers that every port can reproduce: Philox 4x64-10, addressed by (seed, picture, step, purpose).

The specification, with test vectors, is `docs/random-numbers.md`. Nothing here knows what the numbers are used for,
except that each purpose has a stream of its own.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_MANTISSA_BITS = 23
"""Bits a uniform keeps: with 23, `k + 0.5` has 24 significant bits and float32 holds it exactly; with 24 the largest
one would round to 1."""

_UNIFORMS_PER_WORD = 2
_UNIFORMS_PER_BLOCK = 4 * _UNIFORMS_PER_WORD


class Purpose(IntEnum):
    """The fourth counter word: what a stream of numbers is drawn for."""

    TOKENS = 0
    CONFIDENCE = 1
    START_MASK = 2
    ORDER = 3


def uniforms(
    count: int, *, seed: int, picture: int, step: int, purpose: Purpose, first: int = 0
) -> NDArray[np.float32]:
    """Return `count` uniforms of one stream, each an odd multiple of 2^-24 strictly between 0 and 1.

    Parameters
    ----------
    first
        The place in the stream, from 0, of the first one to return; those before it cost nothing.
    seed, picture, step
        Whole numbers in [0, 2^64).

    Returns
    -------
    (count,) float32

    Notes
    -----
    Block b (from 0) of the stream is Philox 4x64-10 with key (seed, 0) and counter (b + 1, picture, step, purpose).
    Each 64-bit word gives two uniforms, the low half first: `((half >> 9) + 0.5) * 2^-23`. Source of the generator:
    Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
    """
    block, skipped = divmod(first, _UNIFORMS_PER_BLOCK)
    generator = np.random.Philox(
        counter=np.array([block, picture, step, purpose], dtype=np.uint64),
        key=np.array([seed, 0], dtype=np.uint64),
    )
    words = generator.random_raw(-(-(skipped + count) // _UNIFORMS_PER_WORD))
    halves = np.asarray(words, dtype="<u8").view("<u4")[skipped : skipped + count]
    halves >>= np.uint32(32 - _MANTISSA_BITS)
    values = halves.astype(np.float32)
    values += np.float32(0.5)
    values *= np.float32(2.0**-_MANTISSA_BITS)
    return values
