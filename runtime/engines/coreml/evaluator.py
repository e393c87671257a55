"""The evaluator as an engine: one role of a Core ML bundle, computed in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.engines.coreml.operators import OPERATORS
from amused_edge.runtime.engines.coreml.package import package
from amused_edge.runtime.engines.coreml.program import FLOATS, Name, Operation, Program, Value, read_program
from amused_edge.runtime.engines.graph import Arrays, check_finite, hides_floats, prepare_inputs
from amused_edge.runtime.engines.options import EngineOptions
from amused_edge.runtime.errors import BundleError, GraphError, first_line, quoted

_HALF = "fp16"

OnValue = Callable[[str, NDArray[Any]], None]
"""(name in the program, value): the inputs and what each operation gives, in order."""

_HIDING = frozenset({"clip", "reduce_argmin"})
"""Operations that may turn NaN or infinity into a number like any other."""


class MilGraph:
    """One role of a bundle, evaluated operation by operation.

    With `EngineOptions.simulate` "half", every fp16 value is rounded to half where the program stores it; with "float",
    all is computed in float32. Either way sums are in float32, which Apple's processors need not do. `on_value` sees
    all values.
    """

    def __init__(self, bundle: Bundle, role: str, options: EngineOptions, on_value: OnValue | None = None) -> None:
        self._role = role
        self._entry: GraphEntry = bundle.graph(role)
        program = read_program(package(bundle, role))
        for specs, values in ((self._entry.inputs, program.inputs), (self._entry.outputs, program.outputs)):
            listed, found = sorted(spec.name for spec in specs), sorted(value.name for value in values)
            if listed != found:
                raise BundleError(
                    f"the package of {role} has {found}, the manifest says {listed}; do not use this bundle"
                )
        check = options.check_floats and hides_floats(self._entry)
        self._machine: Machine | None = Machine(program, round_halves=options.simulate == "half", check_floats=check)
        self._on_value = on_value

    def __call__(self, inputs: Arrays, cancellation: Cancellation | None = None) -> dict[str, NDArray[Any]]:
        """Run the graph, see `Graph`; nothing stops it within."""
        if self._machine is None:
            raise GraphError(f"{self._role} was closed; make a new pipeline")
        feeds = prepare_inputs(self._role, self._entry, inputs)
        for spec in self._entry.inputs:
            if spec.layout == "picture":
                feeds[spec.name] = feeds[spec.name].transpose(0, 3, 1, 2)
        try:
            found = self._machine.run(feeds, self._on_value)
        except GraphError as error:
            raise GraphError(f"{self._role}: {error}") from error
        outputs = {}
        for spec in self._entry.outputs:
            value = found[spec.name]
            if spec.layout == "picture":
                value = np.clip(np.rint(value), 0, 255).transpose(0, 2, 3, 1)
            outputs[spec.name] = np.ascontiguousarray(value, dtype=spec.dtype)
        return outputs

    def close(self) -> None:
        """Drop the program."""
        self._machine = None


class Machine:
    """Evaluates a program.

    Parameters
    ----------
    check_floats
        Raise `GraphError` where what an operation hides is not finite, see `EngineOptions`.

    Raises
    ------
    GraphError
        An operation is not known.
    """

    def __init__(self, program: Program, *, round_halves: bool, check_floats: bool = False) -> None:
        for op in program.operations:
            if op.operator not in OPERATORS:
                raise GraphError(
                    f"operation {quoted(op.name)} is a {quoted(op.operator)}, which the evaluator does not know; it "
                    "can be run on a Mac only"
                )
            if any(0 in value.shape for value in op.outputs):
                raise GraphError(
                    f"operation {quoted(op.name)} has a shape that is not fixed, which the evaluator cannot plan"
                )
        self._program = program
        self._round, self._check = round_halves, check_floats
        self._constants = {name: _wide(constant.value) for name, constant in program.constants.items()}
        self._last = _last_uses(program)

    def run(self, inputs: dict[str, NDArray[Any]], on_value: OnValue | None = None) -> dict[str, NDArray[Any]]:
        """Return the outputs by name: floats as float32. `on_value` sees all values.

        Raises
        ------
        GraphError
            An operation cannot be computed.
        """
        show: OnValue = on_value or (lambda *_: None)
        values = {value.name: self._stored(inputs[value.name], value) for value in self._program.inputs}
        for name, given in values.items():
            show(name, given)
        for index, op in enumerate(self._program.operations):
            try:
                results = self._compute(op, values)
            except (TypeError, ValueError, IndexError) as error:
                raise GraphError(
                    f"the evaluator cannot compute {quoted(op.operator)} {quoted(op.name)}: {first_line(error)}"
                ) from error
            for value, result in zip(op.outputs, results, strict=True):
                values[value.name] = self._stored(result, value)
                show(value.name, values[value.name])
            for name in self._last.get(index, ()):
                del values[name]
        return {value.name: values[value.name] for value in self._program.outputs}

    def _compute(self, op: Operation, values: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        def resolve(argument: Any) -> Any:
            if isinstance(argument, tuple):
                return [resolve(item) for item in argument]
            if not isinstance(argument, Name):
                return argument
            return values[argument.name] if argument.name in values else self._constants[argument.name]

        arguments = {name: resolve(given) for name, given in op.arguments.items()}
        if self._check and op.operator in _HIDING:
            check_finite(f"operation {quoted(op.name)}", arguments["x"])
        with np.errstate(over="ignore"):  # to infinity, as on a phone
            result = OPERATORS[op.operator](**arguments)
        return result if isinstance(result, tuple) else (result,)

    def _stored(self, value: NDArray[Any], as_: Value) -> NDArray[Any]:
        """Give a value the type that the program says, halves as float32."""
        value = np.asarray(value)
        if value.shape != as_.shape:
            raise GraphError(f"{quoted(as_.name)} has shape {list(value.shape)}, the program says {list(as_.shape)}")
        if as_.dtype not in FLOATS:
            return value.astype(as_.dtype)
        if as_.dtype == _HALF and self._round:
            with np.errstate(over="ignore"):
                value = value.astype(np.float16)
        return value.astype(np.float32, copy=False)


def _wide(value: NDArray[Any]) -> NDArray[Any]:
    return value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value


def _last_uses(program: Program) -> dict[int, list[str]]:
    """Return by operation the values that nothing after it reads."""
    constants, kept = set(program.constants), {value.name for value in program.outputs}
    last: dict[str, int] = {value.name: -1 for value in program.inputs}
    for index, op in enumerate(program.operations):
        last.update({value.name: index for value in op.outputs})
        for argument in op.arguments.values():
            names = argument if isinstance(argument, tuple) else (argument,)
            last.update({item.name: index for item in names if isinstance(item, Name)})
    freed: dict[int, list[str]] = {}
    for name, index in last.items():
        if name not in constants and name not in kept:
            freed.setdefault(index, []).append(name)
    return freed
