"""`runtime.sampling.philox` in ONNX operators: Philox 4x64-10 and the uniforms of its words.

Words are int64 with the bits of the unsigned ones. ONNX Runtime multiplies and adds no uint64 before 1.20, and products
and sums of int64 wrap to the same bits; only shifts need unsigned words.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from amused_edge.export.onnx.sampler.formulae import Formulae, Operand

_ROUNDS = 10
_FACTORS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = 0xFFFFFFFF

_MANTISSA_BITS = 23
UNIFORMS_PER_BLOCK = 8


def uniforms(f: Formulae, counter: Sequence[Operand], seed: ir.Value, name: str) -> ir.Value:
    """Return the uniforms of blocks, (blocks, 8) float32.

    Parameters
    ----------
    counter
        The four words of each block's counter, int64: (blocks,), or a number that all share.
    """
    shift = 32 - _MANTISSA_BITS
    halves = []
    for word in _philox(f, list(counter), seed):
        low = f("BitwiseAnd", _right(f, word, shift), np.int64(2**_MANTISSA_BITS - 1))
        halves += [low, _right(f, word, 32 + shift)]
    floats = [f("Unsqueeze", f.cast(half, ir.DataType.FLOAT), np.array([1])) for half in halves]
    middle = f("Add", f("Concat", *floats, axis=1), np.float32(0.5))
    return f("Mul", middle, np.float32(2.0**-_MANTISSA_BITS), name=name)


def _philox(f: Formulae, counter: list[Operand], seed: ir.Value) -> list[Operand]:
    for i in range(_ROUNDS):
        keys = (f("Add", seed, _signed(_WEYL[0] * i)), _signed(_WEYL[1] * i))
        (high_0, low_0), (high_1, low_1) = (
            _product(f, word, factor) for word, factor in zip(counter[::2], _FACTORS, strict=True)
        )
        counter = [
            f("BitwiseXor", f("BitwiseXor", high_1, counter[1]), keys[0]),
            low_1,
            f("BitwiseXor", f("BitwiseXor", high_0, counter[3]), keys[1]),
            low_0,
        ]
    return counter


def _product(f: Formulae, word: Operand, factor: int) -> tuple[ir.Value, ir.Value]:
    """Return the high and the low word of a product of 128 bits, put together from products of 32-bit halves."""
    low, high = f("BitwiseAnd", word, np.int64(_LOW)), _right(f, word, 32)
    by_low, by_high = np.int64(factor & _LOW), np.int64(factor >> 32)
    carried = _right(f, f("Mul", low, by_low), 32)
    middle = f("Add", f("Mul", high, by_low), carried)
    other = f("Add", f("BitwiseAnd", middle, np.int64(_LOW)), f("Mul", low, by_high))
    top = f("Add", f("Mul", high, by_high), _right(f, middle, 32))
    return f("Add", top, _right(f, other, 32)), f("Mul", word, _signed(factor))


def _right(f: Formulae, word: Operand, bits: int) -> ir.Value:
    unsigned = f.cast(word, ir.DataType.UINT64)
    return f.cast(f("BitShift", unsigned, np.uint64(bits), direction="RIGHT"), ir.DataType.INT64)


def _signed(word: int) -> np.int64:
    """Return the bits of an unsigned word."""
    return np.uint64(word & (2**64 - 1)).astype(np.int64)
