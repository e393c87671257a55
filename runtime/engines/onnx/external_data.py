"""Finds the tensors of an ONNX model file, and where it says that their values lie, without the onnx package.

Reads just enough of the protobuf wire format (protobuf.dev, "Encoding") and of ONNX's message layout (onnx.proto) to
visit every tensor: initializers, constants in attributes, subgraphs, functions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_MAX_DEPTH = 64

# Message -> {field number: message inside}. Only paths that lead to a tensor.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}

_DIMS, _DATA_TYPE, _FLOATS, _NAME, _RAW, _DOUBLES, _ENTRY = 1, 2, 4, 8, 9, 10, 13
"""Fields of a tensor."""


@dataclass(frozen=True)
class ExternalData:
    """Where a tensor's values lie: file name as written in the model, first byte, number of bytes (0: not stated)."""

    location: str
    offset: int
    length: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model.

    Attributes
    ----------
    data_type
        Of its values, as ONNX numbers them.
    shape
        Sides.
    values
        Their bytes, a view of the model's own, or where these lie; None where it holds none of the kinds that are read
        here.
    """

    name: str
    data_type: int
    shape: tuple[int, ...]
    values: memoryview | ExternalData | None


def external_data(model: bytes) -> list[ExternalData]:
    """Return every reference to external data in a serialized ONNX model.

    Raises
    ------
    ValueError
        The bytes are not a protobuf message.
    """
    return [tensor.values for tensor in tensors(model) if isinstance(tensor.values, ExternalData)]


def tensors(model: bytes | bytearray) -> Iterator[Tensor]:
    """Yield every tensor of a serialized ONNX model; raises `ValueError` as `external_data`."""
    return (_tensor(message) for message in _messages(memoryview(model), "model"))


def _messages(message: memoryview, kind: str, depth: int = 0) -> Iterator[memoryview]:
    """Yield the message of each tensor."""
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    if kind == "tensor":
        yield message
        return
    for number, value in fields(message):
        if number in _CHILDREN[kind]:
            yield from _messages(value, _CHILDREN[kind][number], depth + 1)


def _tensor(message: memoryview) -> Tensor:
    name, data_type, entries, shape = "", 0, {}, list[int]()
    values: memoryview | ExternalData | None = None
    for number, value in _parts(message):
        if isinstance(value, int):
            data_type = value if number == _DATA_TYPE else data_type
            shape += [value] if number == _DIMS else []
        elif number == _DIMS:
            shape += _varints(value)
        elif number == _NAME:
            name = bytes(value).decode("utf-8", "replace")
        elif number in (_FLOATS, _DOUBLES, _RAW):
            values = value
        elif number == _ENTRY:
            pair = {n: bytes(v).decode("utf-8", "replace") for n, v in fields(value)}
            entries[pair.get(1, "")] = pair.get(2, "")
    if entries:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        values = ExternalData(entries.get("location", ""), offset, length)
    return Tensor(name, data_type, tuple(shape), values)


def _varints(message: memoryview) -> list[int]:
    """Return whole numbers that are packed into one field."""
    numbers, position = [], 0
    while position < len(message):
        number, position = _varint(message, position)
        numbers.append(number)
    return numbers


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (field number, content) of the length-delimited fields of a message."""
    return ((number, value) for number, value in _parts(message) if isinstance(value, memoryview))


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield (field number, content) of a message's fields that are length-delimited or whole numbers."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        wire = key & 7
        if wire == 0:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        if wire == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif wire in _FIXED_BYTES:
            length = _FIXED_BYTES[wire]
        else:
            raise ValueError(f"unknown wire type {wire}")
        if position + length > end:
            raise ValueError("it ends in the middle of a field")
        if wire == _LENGTH_DELIMITED:
            yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
    raise ValueError("it ends in the middle of a number")
