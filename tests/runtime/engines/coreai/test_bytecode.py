"""Constants read from MLIR bytecode, beside Core AI's own copies of them; what is damaged is told."""

from pathlib import Path

import numpy as np
import pytest

from amused_edge.runtime.engines.coreai.bytecode import read_blobs
from amused_edge.runtime.engines.coreai.constants import CONSTANT, Constants, element_bits, pack_bits, unpack_bits
from tests.support.coreai import needs_coreai

pytestmark = needs_coreai


@pytest.mark.parametrize("role", ["denoiser", "image_encoder"])
def test_values_beside_core_ai_s_own(tiny_coreai: Path, role: str) -> None:
    from coreai._compiler._mlir_libs._coreaiIR._bindings.compiler import copy_constant_value_to_array

    from amused_edge.runtime.engines.coreai.program import Program

    package = tiny_coreai / f"{role}.aimodel"
    constants, program, sizes = Constants(package), Program(package), set()
    for op in program.operations():
        if op.name == CONSTANT:
            values = constants.values(op)
            copied = np.zeros(values.size * element_bits(op.results[0].type.element_type) // 8, np.uint8)
            copy_constant_value_to_array(constant_op=op, destination=copied)
            assert np.array_equal(copied, np.ascontiguousarray(values).reshape(-1).view(np.uint8))
            sizes.add(values.size)
    assert max(sizes) > 1000


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_are_packed_lowest_first(bits: int, signed: bool) -> None:
    """Against Python's integers."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = np.random.default_rng(bits).integers(low, high, 37).astype(np.int8 if signed else np.uint8)
    whole = sum((int(value) % 2**bits) << (bits * i) for i, value in enumerate(values))
    packed = pack_bits(values, bits)
    assert packed.tobytes() == whole.to_bytes(-(-37 * bits // 8), "little")
    assert np.array_equal(unpack_bits(packed, bits, 37, signed=signed), values)


def test_what_is_no_bytecode(tmp_path: Path, tiny_coreai: Path) -> None:
    file = tmp_path / "main.mlirb"
    file.write_bytes(b"hello there")
    with pytest.raises(ValueError, match=r"main\.mlirb is no MLIR bytecode"):
        read_blobs(file)
    content = (tiny_coreai / "conditioner.aimodel" / "main.mlirb").read_bytes()
    for size in (5, 40, len(content) // 2):
        file.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"main\.mlirb ends where more was announced"):
            read_blobs(file)
