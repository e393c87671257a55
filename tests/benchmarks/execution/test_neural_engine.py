"""The rules for the Neural Engine: each finds its offender, and nothing else."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amused_edge.benchmarks.execution.neural_engine import LIMITS, lint, lint_bundle, table
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import ROLES
from amused_edge.runtime.engines.coreml.program import Constant, Name, Operation, Program, Value

X = Value("x", "fp16", (1, 8, 1, 16))
SMALL = 10_000_000


def op(operator: str, name: str, *outputs: Value, **arguments: Any) -> Operation:
    """An operation on `x`, whose outputs are named after it where they are not given."""
    return Operation(operator, name, {"x": Name("x"), **arguments}, outputs or (Value(name, "fp16", (1, 8, 1, 16)),))


def program(*operations: Operation, inputs: tuple[Value, ...] = (X,)) -> Program:
    weight = Constant(np.ones((8, 8, 1, 1), np.float16), "const")
    outputs = operations[-1].outputs if operations else inputs
    return Program("iOS17", inputs, {"w": weight}, operations, outputs, frozenset())


def found(checked: Program, size: int = SMALL) -> dict[str, tuple[str, ...]]:
    """Rule -> what goes against it, without the rules that are kept."""
    return {finding.limit.name: finding.found for finding in lint(checked, size) if finding.found}


CONV = op("conv", "a", weight=Name("w"))


def test_a_program_of_halves_in_the_preferred_layout_is_clean() -> None:
    clean = program(CONV, op("silu", "b"), op("add", "c", y=Name("a")), op("softmax", "d", axis=1))
    assert found(clean, 1_000_000_000) == {}
    assert [finding.limit for finding in lint(clean, SMALL)] == list(LIMITS)


DEEP = Value("deep", "fp16", (1, 2, 3, 4, 5, 6))
FLOAT = Value("wide", "fp32", (1, 8, 1, 16))
WHOLE = Value("whole", "int32", (1, 8))
COLUMN = Value("column", "fp16", (1, 8, 16, 1))
OPEN = Value("open", "fp16", (1, 0, 1, 16))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (op("reshape", "r", DEEP, shape=np.int32([1, 2, 3, 4, 5, 6])), {"rank above 5": ("deep",)}),
        (op("sqrt", "s", FLOAT), {"float32": ("s",)}),
        (op("cast", "to_wide", FLOAT, dtype="fp32"), {"float32 islands": ("to_wide",)}),
        (op("cast", "to_half", dtype="fp16"), {"float32 islands": ("to_half",)}),
        (op("cast", "to_whole", WHOLE, dtype="int32"), {"whole numbers": ("to_whole",)}),
        (op("reduce_argmin", "m", WHOLE), {"whole numbers": ("m",)}),
        (op("greater_equal", "g", Value("yes", "bool", (1, 8))), {"whole numbers": ("g",)}),
        (op("gather", "look", indices=Name("x")), {"gather": ("look",)}),
        (op("gather_nd", "look", WHOLE), {"gather": ("look",)}),
        (op("gather_along_axis", "look"), {"gather": ("look",)}),
        (op("reduce_mean", "mean", COLUMN), {"last axis of length 1": ("column",)}),
        (op("linear", "l", weight=Name("w")), {"linear instead of 1x1 convolution": ("l",)}),
        (op("relu", "n", OPEN), {"dynamic shapes": ("n",)}),
        (op("reshape", "n", shape=Name("a")), {"dynamic shapes": ("n",)}),
        (op("split", "parts", Value("one", "fp16", (1, 4)), DEEP), {"rank above 5": ("deep",)}),
    ],
    ids=lambda value: value.operator if isinstance(value, Operation) else "",
)
def test_an_offender_is_found_by_its_rule_alone(operation: Operation, expected: dict[str, tuple[str, ...]]) -> None:
    assert found(program(CONV, operation, op("silu", "z"))) == expected


@pytest.mark.parametrize(
    "operation",
    [
        op("reshape", "r", Value("flat", "fp16", (1, 2, 3, 4, 5)), shape=np.int32([1, 2, 3, 4, 5])),
        op("reshape", "r", shape=Name("shape_constant")),
        op("reduce_mean", "m", Value("m", "fp16", ())),
        op("reduce_mean", "m", Value("m", "fp16", (1,))),
    ],
    ids=["five axes", "a constant shape", "a number", "one axis"],
)
def test_what_is_just_allowed(operation: Operation) -> None:
    assert found(program(CONV, operation)) == {}


def test_inputs_are_looked_at_too() -> None:
    given = (X, Value("column", "fp16", (1, 8, 1)), Value("deep", "fp16", (1,) * 5 + (2,)))
    assert found(program(CONV, inputs=given)) == {"rank above 5": ("deep",), "last axis of length 1": ("column",)}


def test_a_float32_column_is_no_matter_of_padding() -> None:
    """It is on the CPU anyway."""
    assert found(program(op("sqrt", "s", Value("s", "fp32", (1, 8, 1))))) == {"float32": ("s",)}


@pytest.mark.parametrize(("size", "large"), [(1_000_000_000, ()), (1_000_000_001, ("1000 MB",)), (2**31, ("2147 MB",))])
def test_size(size: int, large: tuple[str, ...]) -> None:
    assert found(program(CONV), size).get("above 1 GB", ()) == large


def test_every_rule_has_its_effect_and_source() -> None:
    assert len({rule.name for rule in LIMITS}) == len(LIMITS)
    for rule in LIMITS:
        assert rule.effect
        assert re.search(r"#\d+|\.com|guide|README|cast", rule.source), rule.name


def test_the_table_has_a_row_per_rule() -> None:
    wide = [op("sqrt", f"s{i}", Value(f"s{i}", "fp32", (1, 8))) for i in range(4)]
    rows = table(lint(program(*wide, op("linear", "l", weight=Name("w"))), SMALL))
    assert len(rows) == 2 + len(LIMITS)
    assert len({row.count("|") for row in rows}) == 1
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:5]] for row in rows}
    assert cells["float32"] == ["4", "runs on CPU or GPU", "s0, s1, s2, ..."]
    assert cells["linear instead of 1x1 convolution"] == ["1", "slower than (B, C, 1, N) layout", "l"]
    assert cells["gather"] == ["none", "", ""]


def test_the_graphs_of_a_bundle(tiny_coreml: Path) -> None:
    """What is known of them: halves with islands, lookups of tokens, linear layers; a VQ-GAN in float32."""
    checked = lint_bundle(Bundle.open(tiny_coreml))
    assert list(checked) == list(ROLES)
    broken = {role: {f.limit.name for f in findings if f.found} for role, findings in checked.items()}
    assert broken["denoiser"] == {
        "float32", "float32 islands", "whole numbers", "gather", "linear instead of 1x1 convolution"}  # fmt: skip
    assert broken["image_encoder"] >= {"float32", "whole numbers"}
    assert "float32 islands" not in broken["image_decoder"]
    assert not [role for role in ROLES if {"rank above 5", "dynamic shapes", "above 1 GB"} & broken[role]]
