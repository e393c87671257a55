"""The machine that computes programs: which values are rounded, which are kept, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreml.description import precisions
from amused_edge.runtime.engines.coreml.evaluator import Machine, _last_uses
from amused_edge.runtime.engines.coreml.package import package_files
from amused_edge.runtime.engines.coreml.program import Constant, Name, Operation, Program, Value
from amused_edge.runtime.errors import GraphError

RANDOM = np.random.default_rng(6)


def operation(operator: str, name: str, kind: str, sides: tuple[int, ...], /, **arguments: Any) -> Operation:
    """An operation with one output, of its own name."""
    return Operation(operator, name, arguments, (Value(name, kind, sides),))


def program(
    *operations: Operation, inputs: tuple[Value, ...], outputs: tuple[str, ...] = ("y",), **constants: NDArray[Any]
) -> Program:
    values = {value.name: value for op in operations for value in op.outputs} | {value.name: value for value in inputs}
    stored = {name: Constant(value, "const") for name, value in constants.items()}
    return Program("iOS17", inputs, stored, operations, tuple(values[name] for name in outputs), frozenset())


def scale_and_shift(kind: str) -> Program:
    """y = x * a + 0.1, for 100 values."""
    return program(
        operation("mul", "scaled", kind, (100,), x=Name("x"), y=Name("a")),
        operation("add", "y", kind, (100,), x=Name("scaled"), y=float(np.float16(0.1))),
        inputs=(Value("x", kind, (100,)),),
        a=RANDOM.standard_normal(100).astype(np.float16 if kind == "fp16" else np.float32),
    )


def run(of: Program, round_halves: bool, **inputs: Any) -> dict[str, NDArray[Any]]:
    return Machine(of, round_halves=round_halves).run(inputs)


X = (100 * RANDOM.standard_normal(100)).astype(np.float32)


# --- Rounding.


def test_half_mode_is_half_arithmetic_step_by_step() -> None:
    """NumPy's: every product and sum rounded to the nearest half, the input too."""
    of = scale_and_shift("fp16")
    x, a = X.astype(np.float16), of.constants["a"].value
    assert a.dtype == np.float16
    expected = x * a + np.float16(0.1)
    assert expected.dtype == np.float16
    found = run(of, True, x=X)["y"]
    assert found.dtype == np.float32
    assert np.array_equal(found, expected.astype(np.float32))


@pytest.mark.parametrize(("kind", "round_halves"), [("fp16", False), ("fp32", False), ("fp32", True)])
def test_else_it_is_float32_arithmetic(kind: str, round_halves: bool) -> None:
    """In float mode halves are not rounded; values that the program keeps in fp32 never are."""
    of = scale_and_shift(kind)
    expected = X * of.constants["a"].value.astype(np.float32) + np.float32(np.float16(0.1))
    found = run(of, round_halves, x=X)["y"]
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, found.astype(np.float16).astype(np.float32))


def test_the_type_of_each_value_decides() -> None:
    """x is rounded where it is cast to half; the sum afterwards is in fp32 again."""
    of = program(
        operation("cast", "half", "fp16", (100,), x=Name("x"), dtype="fp16"),
        operation("add", "y", "fp32", (100,), x=Name("half"), y=0.1),
        inputs=(Value("x", "fp32", (100,)),),
    )
    assert np.array_equal(run(of, True, x=X)["y"], X.astype(np.float16).astype(np.float32) + np.float32(0.1))
    assert np.array_equal(run(of, False, x=X)["y"], X + np.float32(0.1))


@pytest.mark.parametrize(("round_halves", "expected"), [(True, [np.inf, -np.inf, 2]), (False, [120000, -120000, 2])])
def test_a_half_overflows_to_infinity_without_a_warning(round_halves: bool, expected: list[float]) -> None:
    of = program(operation("mul", "y", "fp16", (3,), x=Name("x"), y=2.0), inputs=(Value("x", "fp16", (3,)),))
    with np.errstate(over="raise"):
        assert run(of, round_halves, x=np.float32([60000, -60000, 1]))["y"].tolist() == expected


def test_sums_of_halves_are_in_float32() -> None:
    """A sum of ones in halves would stop at 2048."""
    ones = np.ones((1, 3000), np.float16)
    of = program(
        operation("linear", "y", "fp16", (1, 1), x=Name("x"), weight=Name("w")),
        inputs=(Value("x", "fp16", (1, 3000)),),
        w=ones,
    )
    assert run(of, True, x=ones)["y"].item() == 3000


@pytest.mark.parametrize(("kind", "dtype"), [("int32", np.int32), ("uint16", np.uint16), ("bool", np.bool_)])
def test_other_types_are_kept(kind: str, dtype: Any) -> None:
    of = program(operation("reshape", "y", kind, (2, 1), x=Name("x"), shape=[2, 1]), inputs=(Value("x", kind, (2,)),))
    found = run(of, True, x=np.array([1, 0], np.int64))["y"]
    assert found.dtype == dtype
    assert found.tolist() == [[1], [0]]


# --- Which values are kept, and for how long.

V = (Value("x", "fp32", (4,)),)


def chain(*outputs: str) -> Program:
    """y = ((x * x) + x) - (x * x), with a value that nobody reads."""
    return program(
        operation("mul", "square", "fp32", (4,), x=Name("x"), y=Name("x")),
        operation("add", "unread", "fp32", (4,), x=Name("square"), y=Name("a")),
        operation("add", "sum", "fp32", (4,), x=Name("square"), y=Name("x")),
        operation("sub", "y", "fp32", (4,), x=Name("sum"), y=Name("square")),
        inputs=V,
        outputs=outputs,
        a=np.ones(4, np.float32),
    )


def test_values_are_freed_after_their_last_use() -> None:
    freed = {index: set(names) for index, names in _last_uses(chain("y")).items()}
    assert freed == {1: {"unread"}, 2: {"x"}, 3: {"sum", "square"}}


def test_lists_of_values_are_uses() -> None:
    of = program(
        operation("square", "a", "fp32", (4,), x=Name("x")),
        operation("square", "b", "fp32", (4,), x=Name("a")),
        Operation(
            "concat", "y", {"values": (Name("a"), Name("b"), Name("a")), "axis": 0}, (Value("y", "fp32", (12,)),)
        ),
        inputs=V,
    )
    assert {index: set(names) for index, names in _last_uses(of).items()} == {0: {"x"}, 2: {"a", "b"}}
    assert run(of, True, x=np.float32([1, 2, 0, 1]))["y"].tolist() == [1, 4, 0, 1, 1, 16, 0, 1, 1, 4, 0, 1]


def test_an_output_that_others_read_is_kept() -> None:
    x = np.float32([1, 2, 3, 4])
    found = run(chain("square", "y", "x"), True, x=x)
    assert list(found) == ["square", "y", "x"]
    assert np.array_equal(found["square"], x * x)
    assert np.array_equal(found["y"], x)
    assert np.array_equal(found["x"], x)


def test_several_outputs_of_one_operation() -> None:
    """One of them is read by nobody."""
    parts = tuple(Value(name, "fp32", (side,)) for name, side in (("a", 1), ("b", 2), ("c", 1)))
    of = program(
        Operation("split", "parts", {"x": Name("x"), "axis": 0, "split_sizes": [1, 2, 1]}, parts),
        operation("mul", "y", "fp32", (1,), x=Name("c"), y=10.0),
        inputs=V,
        outputs=("y", "a"),
    )
    found = run(of, True, x=np.float32([1, 2, 3, 4]))
    assert {name: value.tolist() for name, value in found.items()} == {"y": [40], "a": [1]}


def test_runs_do_not_know_of_each_other() -> None:
    machine = Machine(scale_and_shift("fp16"), round_halves=True)
    given = X.copy()
    first = machine.run({"x": given})["y"]
    kept = first.copy()
    machine.run({"x": -given})
    assert np.array_equal(first, kept)
    assert np.array_equal(machine.run({"x": given})["y"], kept)
    assert np.array_equal(given, X)


# --- What cannot be computed is refused.


def test_an_unknown_operation_is_refused_before_anything_is_computed() -> None:
    of = program(
        operation("square", "fine", "fp32", (4,), x=Name("x")),
        operation("erf", "y", "fp32", (4,), x=Name("x")),
        inputs=V,
    )
    with pytest.raises(GraphError, match="operation 'y' is a 'erf', which the evaluator does not know"):
        Machine(of, round_halves=True)


def test_an_input_of_another_shape() -> None:
    with pytest.raises(GraphError, match=r"^'x' has shape \[5\], the program says \[4\]$"):
        run(chain("y"), True, x=np.zeros(5, np.float32))


def test_a_result_of_another_shape() -> None:
    """Else a wrong operator would go unseen until something broadcasts."""
    of = program(operation("reduce_sum", "y", "fp32", (), x=Name("x"), keep_dims=True), inputs=V)
    with pytest.raises(GraphError, match=r"'y' has shape \[1\], the program says \[\]"):
        run(of, True, x=np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        ("add", {"x": Name("x"), "y": np.zeros(3)}),  # shapes
        ("square", {"x": Name("x"), "z": 1}),  # a parameter that it does not know
        ("softmax", {}),  # a parameter left out
        ("reduce_sum", {"x": Name("x"), "axes": [1]}),  # no such axis
        ("gather", {"x": Name("x"), "indices": np.array([4])}),
        ("cast", {"x": Name("x"), "dtype": "fp8"}),
        ("split", {"x": Name("x"), "axis": 0}),
    ],
)
def test_an_operation_that_fails_is_named(operator: str, arguments: dict[str, Any]) -> None:
    of = program(operation(operator, "y", "fp32", (4,), **arguments), inputs=V)
    with pytest.raises(GraphError, match=f"cannot compute '{operator}' 'y': ") as error:
        run(of, True, x=np.zeros(4, np.float32))
    assert "\n" not in str(error.value)


# --- What a bundle says of its programs.


def test_precisions_count_operations_on_floats() -> None:
    of = program(
        operation("square", "a", "fp16", (4,), x=Name("x")),
        operation("square", "b", "fp16", (4,), x=Name("a")),
        operation("cast", "wide", "fp32", (4,), x=Name("b")),
        operation("sqrt", "c", "fp32", (4,), x=Name("wide")),
        operation("greater_equal", "y", "bool", (4,), x=Name("c"), y=1.0),
        inputs=V,
    )
    assert precisions(of) == "2 operations in float16, 1 operations in float32 (as the program asks)"


def test_a_packages_listing_comes_first(tmp_path: Path) -> None:
    for name in ("b.mlpackage/Data/model.mlmodel", "b.mlpackage/Manifest.json", "b.mlpackage/A.txt", "c.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = package_files(tmp_path, "b.mlpackage")
    assert found == ["b.mlpackage/Manifest.json", "b.mlpackage/A.txt", "b.mlpackage/Data/model.mlmodel"]
