"""Finds where an ONNX model file says that its weights lie, without the onnx package.

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
    "tensor": {13: "entry"},
}


@dataclass(frozen=True)
class ExternalData:
    """Where a tensor's values lie: file name as written in the model, first byte, number of bytes (0: not stated)."""

    location: str
    offset: int
    length: int


def external_data(model: bytes) -> list[ExternalData]:
    """Return every reference to external data in a serialized ONNX model.

    Raises
    ------
    ValueError
        The bytes are not a protobuf message.
    """
    return list(_references(memoryview(model), "model"))


def _references(message: memoryview, kind: str, depth: int = 0) -> Iterator[ExternalData]:
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    entries: dict[str, str] = {}
    for number, value in fields(message):
        child = _CHILDREN[kind].get(number)
        if child == "entry":
            pair = {n: bytes(v).decode("utf-8", "replace") for n, v in fields(value)}
            entries[pair.get(1, "")] = pair.get(2, "")
        elif child is not None:
            yield from _references(value, child, depth + 1)
    if entries:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        yield ExternalData(entries.get("location", ""), offset, length)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (field number, content) of the length-delimited fields of a message."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        wire = key & 7
        if wire == 0:
            _, position = _varint(message, position)
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
