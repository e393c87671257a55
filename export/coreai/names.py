"""Names in a Core AI program: parameters' own where weights are, and none that chance gave.

Core AI names constants by a hash that begins elsewhere in each process, and inner graphs by letters that it draws. Both
are in what it saves; so the same checkpoint would give other bytes each time.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from coreai._compiler._mlir_libs._coreaiIR._bindings.compiler import copy_constant_value_to_array
from coreai._compiler._mlir_libs._coreaiIR._bindings.mlir.dialects.coreai import create_elements_attr
from coreai._compiler.dialects import coreai
from numpy.typing import NDArray
from torch import nn

from amused_edge.runtime.engines.coreai.constants import CONSTANT, element_bits
from amused_edge.runtime.engines.coreai.program import graph_name, operations

_DRAWN = re.compile(r"(.*)_[a-z]{8}")
_RESOURCE = "dense_resource<"


def settle_names(program: authoring.AIProgram, module: nn.Module) -> None:
    """Give constants, graphs and the places of weights the same names each time.

    Parameters
    ----------
    program
        Is changed, and holds the module's parameters from then on.
    module
        What it was made of.
    """
    mlir = program._module._mlir_module
    with mlir.context, ir.Location.unknown(mlir.context):
        _name_graphs(list(operations(mlir.operation)))
        parameters = _parameters(module)
        _name_places(_constants(mlir), parameters)
        _name_values(_constants(mlir), parameters)


@dataclass
class _Parameter:
    """A value of the module's, and the names of the parameters that have it."""

    value: NDArray[Any]
    names: list[str]


def _parameters(module: nn.Module) -> dict[str, _Parameter]:
    """Return key -> parameter. They are found by their content, of which Core AI's key of a constant is a hash."""
    found: dict[str, _Parameter] = {}
    for name, parameter in module.named_parameters():
        value = np.ascontiguousarray(parameter.detach().numpy())
        found.setdefault(_key(value), _Parameter(value, [])).names.append(name)
    return found


def _key(value: NDArray[Any]) -> str:
    """Return what a constant of this value looks like in a program's text."""
    kind = ir.RankedTensorType.get(value.shape, ir.F16Type.get() if value.dtype == np.float16 else ir.F32Type.get())
    return str(create_elements_attr(ir.Location.unknown(), kind, value))


def _constants(mlir: Any) -> list[Any]:
    return [op for op in operations(mlir.operation) if op.name == CONSTANT]


def _name_graphs(found: list[Any]) -> None:
    """Number inner graphs in the order in which they stand."""
    names: dict[str, str] = {}
    for op in found:
        if op.name == "coreai.graph":
            name = graph_name(op)
            if drawn := _DRAWN.fullmatch(name):
                names[name] = f"{drawn[1]}_{len(names)}"
                op.attributes["sym_name"] = ir.StringAttr.get(names[name])
    for op in found:
        if op.name == "coreai.invoke":
            called = str(op.attributes["callee"])  # no symbol to MLIR, but a constant that holds one
            name = called.partition("@")[2].partition(">")[0]
            op.attributes["callee"] = ir.Attribute.parse(called.replace(f"@{name}>", f"@{names.get(name, name)}>"))


def _name_places(constants: list[Any], parameters: dict[str, _Parameter]) -> None:
    """Give constants the parameters' names, as the place in a source that they come from: the converter knows none."""
    for op in constants:
        if parameter := parameters.get(str(op.attributes["value"])):
            names = parameter.names
            _replace(op, names.pop(0) if len(names) > 1 else names[0])


def _replace(constant: Any, name: str) -> None:
    """Put a constant that is named in an unnamed one's place: a place in a source is given when it is made."""
    with ir.Location.file(name, 0, 0), ir.InsertionPoint(constant):
        named = coreai.ConstantOp(value=constant.attributes["value"])
    constant.results[0].replace_all_uses_with(named.result)
    constant.erase()


def _name_values(constants: list[Any], parameters: dict[str, _Parameter]) -> None:
    """Number values that are stored beside the program in the order of their first use; each stays stored once."""
    numbered: dict[str, Any] = {}
    for op in constants:
        key = str(op.attributes["value"])
        if key.startswith(_RESOURCE):
            if key not in numbered:
                value = parameters[key].value.reshape(-1).view(np.uint8) if key in parameters else _copy(op)
                kind, name = op.results[0].type, f"constant_{len(numbered)}"
                numbered[key] = ir.DenseResourceElementsAttr.get_from_buffer(value, name, kind)
            op.attributes["value"] = numbered[key]


def _copy(constant: Any) -> NDArray[np.uint8]:
    """Return a constant's bytes."""
    kind = constant.results[0].type
    data = np.empty(-(-int(np.prod(kind.shape)) * element_bits(kind.element_type) // 8), np.uint8)
    copy_constant_value_to_array(constant_op=constant, destination=data)
    return data
