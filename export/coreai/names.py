"""Names in a Core AI program: parameters' own where weights are, and none that chance gave.

Core AI names constants by a hash that begins elsewhere in each process, and inner graphs by letters that it draws. Both
are in what it saves; so the same checkpoint would give other bytes each time.
"""

import re
from typing import Any

import numpy as np
import torch
from coreai import authoring  # before the dialect, which needs it
from coreai._compiler import ir
from coreai._compiler._mlir_libs._coreaiIR._bindings.compiler import copy_constant_value_to_array
from coreai._compiler._mlir_libs._coreaiIR._bindings.mlir.dialects.coreai import create_elements_attr
from coreai._compiler.dialects import coreai
from numpy.typing import NDArray
from torch import nn

from amused_edge.runtime.engines.coreai.constants import CONSTANT, element_bits
from amused_edge.runtime.engines.coreai.program import operations

_DRAWN = re.compile(r"(.*)_[a-z]{8}")
_RESOURCE = "dense_resource<"


def settle_names(program: authoring.AIProgram, module: nn.Module, stored: torch.dtype) -> None:
    """Give constants, graphs and the places of weights the same names each time.

    Parameters
    ----------
    program
        Is changed.
    module
        What it was made of.
    stored
        In which the module's floats are stored.
    """
    mlir = program._module._mlir_module
    with mlir.context, ir.Location.unknown(mlir.context):
        found = list(operations(mlir.operation))
        _name_graphs(found)
        constants = [op for op in found if op.name == CONSTANT]
        _name_places(constants, module, stored)
        _name_values([op for op in operations(mlir.operation) if op.name == CONSTANT])


def _name_graphs(found: list[Any]) -> None:
    """Number inner graphs in the order in which they stand."""
    names: dict[str, str] = {}
    for op in found:
        if op.name == "coreai.graph":
            name = str(ir.StringAttr(op.attributes["sym_name"]).value)
            if drawn := _DRAWN.fullmatch(name):
                names[name] = f"{drawn[1]}_{len(names)}"
                op.attributes["sym_name"] = ir.StringAttr.get(names[name])
    for op in found:
        if op.name == "coreai.invoke":
            called = str(op.attributes["callee"])  # no symbol to MLIR, but a constant that holds one
            name = called.partition("@")[2].partition(">")[0]
            op.attributes["callee"] = ir.Attribute.parse(called.replace(f"@{name}>", f"@{names.get(name, name)}>"))


def _name_places(constants: list[Any], module: nn.Module, stored: torch.dtype) -> None:
    """Give constants the names of the module's parameters, as the place in a source that they come from.

    They are found by their content, of which Core AI's key of a constant is a hash; the converter knows no names.
    """
    names: dict[str, list[str]] = {}
    for name, parameter in module.named_parameters():
        names.setdefault(_key(parameter.detach().to(stored).numpy()), []).append(name)
    for op in constants:
        if found := names.get(str(op.attributes["value"])):
            _replace(op, found.pop(0) if len(found) > 1 else found[0])


def _key(value: NDArray[Any]) -> str:
    """Return what a constant of this value looks like in a program's text."""
    kind = ir.RankedTensorType.get(value.shape, ir.F16Type.get() if value.dtype == np.float16 else ir.F32Type.get())
    return str(create_elements_attr(ir.Location.unknown(), kind, np.ascontiguousarray(value)))


def _replace(constant: Any, name: str) -> None:
    """Put a constant that is named in an unnamed one's place: a place in a source is given when it is made."""
    with ir.Location.file(name, 0, 0), ir.InsertionPoint(constant):
        named = coreai.ConstantOp(value=constant.attributes["value"])
    constant.results[0].replace_all_uses_with(named.result)
    constant.erase()


def _name_values(constants: list[Any]) -> None:
    """Number values that are stored beside the program in the order of their first use; each stays stored once."""
    numbered: dict[str, Any] = {}
    for op in constants:
        value = str(op.attributes["value"])
        if value.startswith(_RESOURCE):
            if value not in numbered:
                numbered[value] = _copy(op, f"constant_{len(numbered)}")
            op.attributes["value"] = numbered[value]


def _copy(constant: Any, name: str) -> Any:
    """Return a constant's value under another name."""
    kind = constant.results[0].type
    data = np.empty(-(-int(np.prod(kind.shape)) * element_bits(kind.element_type) // 8), np.uint8)
    copy_constant_value_to_array(constant_op=constant, destination=data)
    return ir.DenseResourceElementsAttr.get_from_buffer(data, name, kind)
