"""Changes of safetensors files, most of which stay such files: what their header says fits what follows."""

import json
import math
import random
from typing import Any

from tests.support.fuzzing.mutate import ODD, mutated_bytes, mutated_json, rearranged

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1, "F8_E4M3": 1}
_LARGEST = 2**12
"""Values of a tensor whose shape was changed."""

_PIECES = ("alpha", "lora_magnitude_vector", "lora_A", "lora_up", "down", "bias")

Tensors = list[tuple[str, str, list[int], bytes]]
"""Name, type, shape and bytes of each."""


def mutated_safetensors(data: bytes, chance: random.Random, most: int = 2**16) -> bytes:
    """Return a safetensors file with other names, shapes, types, values or texts, or one that says what is not so."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8 or chance.random() < 0.1:
        return mutated_bytes(data, chance, most)
    header, values = data[8 : 8 + length], data[8 + length :]
    if chance.random() < 0.2:
        header = mutated_json(header, chance, most)
        size = len(header) if chance.random() < 0.9 else chance.choice((0, 2**63, len(header) + 1))
        return (size.to_bytes(8, "little") + header + values)[:most]
    try:
        tensors, texts = _read(header, values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return mutated_bytes(data, chance, most)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if texts and chance.random() < 0.3:
            name = chance.choice(list(texts))
            texts[name] = mutated_json(texts[name].encode("utf-8", "replace"), chance).decode("utf-8", "replace")
        elif tensors and chance.random() < 0.3:
            tensors = rearranged(tensors, chance)
        elif tensors:
            place = chance.randrange(len(tensors))
            tensors[place] = _changed(tensors[place], tensors, chance)
    return _written(tensors, texts)[:most]


def _read(header: bytes, values: bytes) -> tuple[Tensors, dict[str, str]]:
    content: dict[str, Any] = json.loads(header)
    texts = {name: str(text) for name, text in dict(content.pop("__metadata__", {})).items()}
    tensors = [
        (name, str(one["dtype"]), [int(side) for side in one["shape"]], values[slice(*one["data_offsets"])])
        for name, one in content.items()
    ]
    return tensors, texts


def _changed(
    tensor: tuple[str, str, list[int], bytes], tensors: Tensors, chance: random.Random
) -> tuple[str, str, list[int], bytes]:
    name, dtype, shape, values = tensor
    kind = chance.randrange(5)
    if kind < 2:
        return _renamed(name, chance.choice(tensors)[0], chance), dtype, shape, values
    if kind == 2:
        dtype = chance.choice(list(_SIZES))
    elif kind == 3 and shape:
        shape = rearranged(shape, chance) if chance.random() < 0.5 else [*shape]
        if shape:
            shape[chance.randrange(len(shape))] = chance.choice((0, 1, 2, 3, 4, 6, 24))
    elif kind == 4:
        odd = chance.choice((b"\x00\x00\xc0\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x80\x7f", b"\x00\x00\x00\x00"))
        values = mutated_bytes(values, chance) if chance.random() < 0.5 else odd + values[4:]
    count = math.prod(shape)
    if not 0 <= count <= _LARGEST:
        shape, count = [1], 1
    size = count * _SIZES.get(dtype, 4)
    return name, dtype, shape, (values * (size // max(len(values), 1) + 1))[:size].ljust(size, b"\0")


def _renamed(name: str, other: str, chance: random.Random) -> str:
    """Return a name with a piece left out, doubled, or of another's, or with a letter or an odd text in it."""
    mark = chance.choice("._")
    pieces = rearranged(name.split(mark), chance) if chance.random() < 0.6 else name.split(mark)
    if pieces and chance.random() < 0.5:
        pieces[chance.randrange(len(pieces))] = chance.choice(
            (*other.split(mark), *_PIECES, str(chance.choice(ODD))[:20])
        )
    return mark.join(pieces)


def _written(tensors: Tensors, texts: dict[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": texts} if texts else {}
    place = 0
    for name, dtype, shape, values in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + len(values)]}
        place += len(values)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(values for *_, values in tensors)
