"""Finds the weights of a Core ML program: what a recipe may change, under the names that the checkpoint gave them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amused_edge.quantization.recipes.rules import RANKS, Operator
from amused_edge.runtime.engines.coreml.program import Name, Operation, Program

_PLACES: dict[tuple[str, str], Operator] = {
    ("linear", "weight"): "matmul",
    ("matmul", "y"): "matmul",
    ("conv", "weight"): "conv",
    ("gather", "x"): "table",
}


@dataclass(frozen=True)
class ProgramWeight:
    """A constant that a recipe may change.

    Attributes
    ----------
    name
        In the program: the checkpoint's, with underscores for dots.
    names
        What a recipe's pattern may match: that name, and the checkpoint tensors it was folded from.
    operator
        What it is used by: all of its uses are alike.
    place
        (name of an operation that uses it, parameter): these stay when it is compressed.
    kind
        That operation's operator, for example "linear".
    inputs
        Of a linear: the values that it multiplies, by name, one for each use; else none.
    value
        (out, in) of a linear, (in, out) of a matmul, (O, I, h, w) of a convolution, (rows, width) of a table.
    """

    name: str
    names: tuple[str, ...]
    operator: Operator
    place: tuple[str, str]
    kind: str
    inputs: tuple[str, ...]
    value: NDArray[np.floating]


def find_weights(program: Program, derived: dict[str, tuple[str, ...]]) -> dict[str, ProgramWeight]:
    """Return the weights of a program by name.

    Parameters
    ----------
    derived
        The manifest's `derived_tensors`.

    Notes
    -----
    A tensor that is used in several ways, or in another way than as a factor, is none.
    """
    uses: dict[str, list[tuple[str, str, Operation]]] = {}
    for op in program.operations:
        for parameter, argument in op.arguments.items():
            for item in argument if isinstance(argument, tuple) else (argument,):
                if isinstance(item, Name) and item.name in program.constants:
                    uses.setdefault(item.name, []).append((op.operator, parameter, op))
    found = {}
    for name, places in uses.items():
        operators = {_PLACES.get((kind, parameter)) for kind, parameter, _ in places}
        operator = operators.pop() if len(operators) == 1 else None
        value = program.constants[name].value
        if operator is None or value.ndim != RANKS[operator] or not np.issubdtype(value.dtype, np.floating):
            continue
        kind, parameter, user = places[0]
        names, place = (name, *derived.get(name, ())), (user.name, parameter)
        inputs = tuple(op.arguments["x"].name for kind, _, op in places if kind == "linear")
        found[name] = ProgramWeight(name, names, operator, place, kind, inputs, value)
    return found
