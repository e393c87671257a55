"""Changes of protobuf messages (protobuf.dev, "Encoding") that stay messages: lengths fit what they are of."""

import random

from tests.support.fuzzing.mutate import mutated_bytes, rearranged

_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}
_NUMBERS = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_TEXTS = (b"", b"x", b"main", b"..", b"../../etc/passwd", b"\xff", b"a\0b", b"9" * 5000)

_INTO = 0.9
"""How often a change is of what lies in a message, and not of the message."""

_LEAST, _MOST = 8, 256
"""What a field counts where one is chosen: what holds much is likelier, for little lies so deep otherwise."""

Field = tuple[int, int, int | bytes]
"""Number, wire type, and value."""


def mutated_protobuf(data: bytes, chance: random.Random, most: int = 2**16) -> bytes:
    """Return a message some of whose fields, at any depth, say something else; seldom just other bytes."""
    if chance.random() < 0.1:
        return mutated_bytes(data, chance, most)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = _changed(data, chance)
    return data[:most]


def _changed(data: bytes, chance: random.Random) -> bytes:
    fields = _fields(data)
    if not fields:
        return mutated_bytes(data, chance)
    sizes = [_LEAST + min(len(value), _MOST) if isinstance(value, bytes) else _LEAST for _, _, value in fields]
    (place,) = chance.choices(range(len(fields)), sizes)
    number, wire, value = fields[place]
    if chance.random() > _INTO:
        fields = rearranged(fields, chance)
    elif chance.random() < 0.02:
        fields[place] = chance.randrange(1, 32), wire, value
    else:
        fields[place] = number, wire, _other(value, wire, chance)
    return b"".join(map(_encoded, fields))


def _other(value: int | bytes, wire: int, chance: random.Random) -> int | bytes:
    if isinstance(value, int):
        return chance.choice((*_NUMBERS, value + 1, value ^ 1 << chance.randrange(32))) % 2 ** (8 * _size(wire))
    if _fields(value):
        return _changed(value, chance)
    return mutated_bytes(value, chance) if chance.random() < 0.7 else chance.choice(_TEXTS)


def _size(wire: int) -> int:
    return _FIXED_BYTES.get(wire, 8)


def _fields(data: bytes) -> list[Field] | None:
    """Return the fields of what may be a message; None where it is none."""
    fields: list[Field] = []
    place = 0
    try:
        while place < len(data):
            key, place = _number(data, place)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, place = _number(data, place)
                fields.append((number, wire, value))
                continue
            if wire == _LENGTH_DELIMITED:
                size, place = _number(data, place)
            elif wire in _FIXED_BYTES:
                size = _FIXED_BYTES[wire]
            else:
                return None
            if not number or place + size > len(data):
                return None
            content = data[place : place + size]
            place += size
            fields.append((number, wire, content if wire == _LENGTH_DELIMITED else int.from_bytes(content, "little")))
    except IndexError:
        return None
    return fields


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return the number that stands at a place, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value % 2**64, place


def _encoded(field: Field) -> bytes:
    number, wire, value = field
    key = _encoded_number(number << 3 | wire)
    if isinstance(value, bytes):
        return key + _encoded_number(len(value)) + value
    return key + (_encoded_number(value) if wire == 0 else value.to_bytes(_size(wire), "little"))


def _encoded_number(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
