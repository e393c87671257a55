"""The machine and the software, as pages name them."""

import os
from pathlib import Path

import numpy as np
import pytest

from amused_edge.benchmarks.machine import environment as module
from amused_edge.benchmarks.machine.environment import Environment, environment, load_average
from amused_edge.runtime.system import cpu

X86 = """processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu sse2 avx2 avx avx512_vnni f16c fma

processor\t: 1
model name\t: Another CPU
flags\t\t: fpu amx_int8
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp i8mm
CPU part\t: 0xd0c
"""


def described(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    return environment()


def test_this_process_is_described() -> None:
    found = environment()
    assert found.cpu
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.packages["numpy"] == np.__version__
    assert "not-a-package" not in found.packages
    assert found.line().startswith(found.cpu)
    load = load_average()
    assert load is None or load >= 0


def test_the_first_processor_is_named_with_the_flags_that_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = described(X86, tmp_path, monkeypatch)
    assert found.cpu == "Example CPU @ 2.00GHz"
    assert found.flags == ("avx", "avx2", "avx512_vnni", "f16c", "fma")
    assert "(avx, avx2, avx512_vnni, f16c, fma; with 8-bit dot products)" in found.line()


def test_arm_processors_are_known_by_their_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = described(ARM, tmp_path, monkeypatch)
    assert (found.cpu, found.flags) == ("0xd0c", ("asimd", "asimddp", "i8mm"))


def test_without_8_bit_dot_products_the_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = described(X86.replace("avx512_vnni ", ""), tmp_path, monkeypatch)
    assert "; without 8-bit dot products)" in found.line()


def test_a_system_that_tells_little_is_described_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "_CPUINFO", Path("/nowhere/cpuinfo"))
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(module.platform, "machine", lambda: "")
    found = environment()
    assert (found.cpu, found.flags) == ("unknown", ())
    assert "(" not in found.line().partition(",")[0]
