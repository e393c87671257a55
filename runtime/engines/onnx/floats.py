"""Has an ONNX model show floats that its outputs hide: what is clipped to pixels, or searched for the nearest code.

Of NaN, whole numbers tell nothing: a decoder that computes nothing else draws pictures that are black, and equal.
"""

from collections.abc import Iterator

from amused_edge.runtime.engines.onnx.external_data import fields

_HIDING = frozenset({"Clip", "ArgMin"})
"""Operators that may turn NaN or infinity into a number like any other."""

# Field numbers of ONNX's messages (onnx.proto).
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
_VALUE_NAME = 1


def with_hidden_floats(model: bytes) -> tuple[bytes, list[str]]:
    """Return a serialized model with further outputs, and their names.

    Raises
    ------
    ValueError
        The bytes are not a protobuf message.
    """
    nodes = [_node(node) for graph in _named(memoryview(model), _MODEL_GRAPH) for node in _named(graph, _GRAPH_NODE)]
    made = {name for _, _, outputs in nodes for name in outputs}
    hidden = [inputs[0] for operator, inputs, _ in nodes if operator in _HIDING and inputs[0] in made]
    names = list(dict.fromkeys(hidden))
    outputs = b"".join(_field(_GRAPH_OUTPUT, _field(_VALUE_NAME, name.encode())) for name in names)
    return model + _field(_MODEL_GRAPH, outputs), names  # of messages that follow each other, lists are joined


def _node(node: memoryview) -> tuple[str, list[str], list[str]]:
    """Return a node's operator, inputs and outputs."""
    inputs, outputs, operators = (_texts(node, field) for field in (_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR))
    return "".join(operators), inputs, outputs


def _named(message: memoryview, wanted: int) -> Iterator[memoryview]:
    return (content for number, content in fields(message) if number == wanted)


def _texts(message: memoryview, wanted: int) -> list[str]:
    return [bytes(content).decode() for content in _named(message, wanted)]


def _field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
