"""A Core ML program as plain data, and how it is read from a saved `.mlpackage`.

Only this module of the evaluator knows coremltools' classes.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.engines.coreml.quiet_coremltools import ct, load_program, types
from amused_edge.runtime.errors import BundleError, first_line, quoted

WEIGHTS = "@model_path/weights/weight.bin"
"""The only file beside the model from which a program may read."""

_CONTENT = "com.apple.CoreML"
"""The folder in a package's `Data` that holds its model and weights."""

_ROOT = f"{_CONTENT}/model.mlmodel"
_PARTS = frozenset({_ROOT, f"{_CONTENT}/weights"})
"""What a package's `Manifest.json` may list, and which of it is the model."""

FUNCTION = "main"

FLOATS = {"fp16": "float16", "fp32": "float32"}
"""Apple's names of float types -> NumPy's."""


@dataclass(frozen=True)
class Name:
    """Refers to a value that an operation gives, an input, or a constant of the program."""

    name: str


@dataclass(frozen=True)
class Value:
    """Name, type ("fp16", "fp32", "int32", "bool", ...) and shape of a value, with 0 for a side that is not fixed."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    operator
        For example "linear".
    arguments
        By parameter: `Name`, tuple of `Name`, or a constant (number, text, bool or array).
    """

    operator: str
    name: str
    arguments: dict[str, Any]
    outputs: tuple[Value, ...]


@dataclass(frozen=True)
class Constant:
    """A constant tensor.

    Attributes
    ----------
    value
        As operations see it: compressed weights are expanded.
    stored
        "const", or the operation that expands it, for example "constexpr_lut_to_dense".
    """

    value: NDArray[Any]
    stored: str


@dataclass(frozen=True)
class Program:
    """The function of a package, in order of execution.

    Attributes
    ----------
    system
        The oldest system that has its operations, for example "iOS17".
    pictures
        Names of the inputs and outputs that are images: (1, 3, height, width) with values of 0 to 255.
    """

    system: str
    inputs: tuple[Value, ...]
    constants: dict[str, Constant]
    operations: tuple[Operation, ...]
    outputs: tuple[Value, ...]
    pictures: frozenset[str]


def read_program(package: Path) -> Program:
    """Read a package.

    Raises
    ------
    BundleError
        It is damaged, or reads from another file than its own weights.
    """
    with readable(package):
        return program_of(*load(package))


@contextlib.contextmanager
def readable(package: Path) -> Iterator[None]:
    """Tell as `BundleError` that a package cannot be read, whatever is raised within."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:  # protobuf, the blob reader and the loader raise many kinds
        raise BundleError(
            f"{package} is no Core ML package that can be read ({first_line(error)}); copy the bundle again"
        ) from error


def load(package: Path) -> tuple[Any, Any]:
    """Return a package's program as coremltools loads it, and its model as Apple's protobuf message.

    Raises
    ------
    BundleError
        It reads from another file than its own weights. A damaged one raises errors of many kinds.
    """
    spec, weights = _read_model(package)
    _check_weights(package, spec)
    return load_program(spec, spec.specificationVersion, file_weights_dir=str(weights)), spec


def check_package(package: Path) -> None:
    """Check a package that another reads than coremltools, which follows what the package says.

    Raises
    ------
    BundleError
        It is damaged, or reads from elsewhere than its own model and weights.
    """
    with readable(package):
        _check_weights(package, _read_model(package)[0])
        parts = json.loads((package / "Manifest.json").read_text(encoding="utf-8"))
        paths = {name: part["path"] for name, part in parts["itemInfoEntries"].items()}
        if others := sorted(set(paths.values()) - _PARTS):
            raise BundleError(f"{package} has the part {quoted(others[0])}, outside of it; do not use this bundle")
        if paths[parts["rootModelIdentifier"]] != _ROOT:
            raise BundleError(f"{package} has another model than {_ROOT}; do not use this bundle")


def program_of(loaded: Any, spec: Any) -> Program:
    """Return a program that coremltools loaded of a package's model, as plain data."""
    function = loaded.functions[FUNCTION]
    constants: dict[str, Constant] = {}
    operations = tuple(_operations(function, constants))
    return Program(
        system=function.opset_version.name,
        inputs=tuple(_value(var) for var in function.inputs.values()),
        constants=constants,
        operations=operations,
        outputs=tuple(_value(var) for var in function.outputs),
        pictures=frozenset(
            feature.name
            for feature in (*spec.description.input, *spec.description.output)
            if feature.type.WhichOneof("Type") == "imageType"
        ),
    )


def _read_model(package: Path) -> tuple[Any, Path]:
    """Return a package's model as Apple's protobuf message, and the folder of its weights.

    coremltools' own way to open a package writes to it, which bundles are not for.
    """
    content = package / "Data" / _CONTENT
    model = ct.proto.Model_pb2.Model()
    model.ParseFromString((content / "model.mlmodel").read_bytes())
    return model, content / "weights"


def _operations(function: Any, constants: dict[str, Constant]) -> Iterator[Operation]:
    """Yield what is to be computed; constant tensors go into `constants`."""
    for op in function.operations:
        if op.op_type.startswith("constexpr_"):
            constants[op.outputs[0].name] = Constant(np.asarray(op.materialized_val_inference()), op.op_type)
        elif op.op_type == "const":
            value = op.outputs[0].val
            if isinstance(value, np.ndarray):
                constants[op.outputs[0].name] = Constant(value, "const")
        else:
            arguments = {name: _argument(given, constants) for name, given in op.inputs.items() if given is not None}
            yield Operation(op.op_type, op.name, arguments, tuple(_value(var) for var in op.outputs))


def _argument(given: Any, constants: dict[str, Constant]) -> Any:
    if isinstance(given, list | tuple):
        return tuple(_argument(var, constants) for var in given)
    if given.name in constants or given.op is None or given.op.op_type != "const":
        return Name(given.name)
    return given.val.item() if isinstance(given.val, np.generic) else given.val


def _value(var: Any) -> Value:
    sides = tuple(int(side) if isinstance(side, int | np.integer) else 0 for side in var.shape)
    return Value(var.name, types.builtin_to_string(var.dtype), sides)


def _check_weights(package: Path, spec: Any) -> None:
    """No value of the model may lie in another file than the package's own weights."""
    for value in _stored_values(spec):
        if (file := value.fileName) != WEIGHTS:
            raise BundleError(f"{package} reads weights from {quoted(file)}, outside of it; do not use this bundle")


def blob_offsets(spec: Any) -> list[int]:
    """Return where in the file of weights the values of a package's model lie."""
    return [value.offset for value in _stored_values(spec)]


def _stored_values(spec: Any) -> Iterator[Any]:
    """Yield the values of a model that lie in files: of every function and branch, wherever a value may stand."""
    left = [spec]
    while left:
        message = left.pop()
        if isinstance(message, ct.proto.MIL_pb2.Value.BlobFileValue):
            yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                left += _held(value)


def _held(value: Any) -> Iterator[Any]:
    """Yield the messages of a field: itself, those of a list, or those of a map."""
    if hasattr(value, "ListFields"):
        yield value
    else:
        held = value.values() if hasattr(value, "values") else value
        yield from (each for each in held if hasattr(each, "ListFields"))
