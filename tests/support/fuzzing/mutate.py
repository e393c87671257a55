"""Small changes of an input, by chance: of its bytes, or of what its JSON says."""

import copy
import json
import random
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**400),
    *(0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", "x", "..", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "\u202e", "é" * 300, "C:\\x", ".", "-0"),
    *([], {}, [[]], {"": {}}, [0] * 100, "9" * 5000),
)
"""Values that stand where others are expected."""


_LONG = 0.02
"""How often something becomes as long as an input may be: what takes the square of a length shows then."""

_HERE = 0.2
"""How often a list or an object is changed as one, and not something in it."""


def mutated_json(data: bytes, chance: random.Random, most: int = 2**16) -> bytes:
    """Return JSON with some of its values, names or lengths changed; other bytes where `data` is no JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return mutated_bytes(data, chance, most)
    if chance.random() < 0.02:
        return b"[" * chance.choice((10, 100, 2000, 30000))
    try:
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            content = _changed(content, chance, most)
        text = json.dumps(content, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data
    return text[:most] if chance.random() < 0.9 else mutated_bytes(text, chance, most)


def _changed(content: Any, chance: random.Random, most: int) -> Any:
    """Change one place in parsed JSON, whose text needs to be no longer than `most`."""
    place = _place(content, chance)
    if place is None or chance.random() < 0.02:
        return copy.deepcopy(chance.choice(ODD))
    holder, key = place
    kind = chance.random()
    if kind < _LONG and isinstance(holder[key], (str, list)) and holder[key]:
        text = json.dumps(holder[key])
        times = min(chance.choice((100, 1000, 10_000)) // len(holder[key]), most // len(text)) + 1
        more = holder[key] * times
        holder[key] = more if isinstance(more, str) else json.loads(json.dumps(more))  # none of them the same object
    elif kind < 0.2:
        del holder[key]
    elif kind < 0.35:
        other, at = _place(content, chance) or place
        holder[key] = copy.deepcopy(other[at])
    elif kind < 0.45 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif kind < 0.5 and isinstance(holder, dict):
        holder[str(chance.choice(ODD))[:50]] = holder.pop(key)
    elif kind < 0.6 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = chance.choice((holder[key] + 1, -holder[key], holder[key] * 2, holder[key] // 3))
    elif kind < 0.7 and isinstance(holder[key], str):
        text = holder[key]
        place = chance.randrange(len(text) + 1)
        holder[key] = text[:place] + str(chance.choice(ODD))[:20] + text[place + chance.randrange(3) :]
    else:
        holder[key] = copy.deepcopy(chance.choice(ODD))
    return content


def _place(content: Any, chance: random.Random) -> tuple[Any, Any] | None:
    """Return (holder, key) of a value, at any depth: a long list is no likelier than what lies beside it."""
    place = None
    while content and isinstance(content, (dict, list)):
        key = chance.choice(list(content) if isinstance(content, dict) else range(len(content)))
        place = content, key
        if chance.random() < _HERE:
            break
        content = content[key]
    return place


def mutated_bytes(data: bytes, chance: random.Random, most: int = 2**16) -> bytes:
    """Return other bytes: some changed, removed, doubled, put in, cut off, or a number in them replaced."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        place = chance.randrange(len(changed) + 1)
        kind = chance.randrange(7)
        if kind == 0 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[min(place, len(changed) - 1)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        elif kind == 2:
            changed[place:place] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 3:
            del changed[place : place + chance.randrange(1, 17)]
        elif kind == 4:
            long = chance.random() < _LONG
            piece = changed[place : place + (chance.randrange(1, 5) if long else chance.randrange(1, 65))]
            times = (most - len(changed)) // max(len(piece), 1) if long else chance.choice((1, 1, 2, 50))
            changed[place:place] = piece * times
        elif kind == 5:
            number, size = chance.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)), chance.choice((4, 8))
            packed = (number % 256**size).to_bytes(size, chance.choice(("little", "big")))
            changed[place : place + len(packed)] = packed
        elif chance.random() < 0.2:
            del changed[place:]
    return bytes(changed[:most])


def rearranged(items: Sequence[T], chance: random.Random) -> list[T]:
    """Return a list with one thing removed, doubled, or in the place of another."""
    changed = list(items)
    place, other = chance.randrange(len(changed)), chance.randrange(len(changed))
    kind = chance.randrange(3)
    if kind == 0:
        del changed[place]
    elif kind == 1:
        changed.insert(other, changed[place])
    else:
        changed[place], changed[other] = changed[other], changed[place]
    return changed
