"""How pieces are split: into shards of one size, in their order."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

LARGEST = 16
"""Pieces that are lost with a node, and drawn again, at most for each of its slots."""

TURNS = 4
"""Shards for each slot at least, so that slow ones at the end keep few waiting."""


def shard_size(count: int, slots: int) -> int:
    """Return how many pieces go into a shard, of so many pieces for so many slots."""
    return max(1, min(LARGEST, count // (TURNS * max(1, slots))))


def shards(pieces: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield pieces in their order, `size` at a time, as they are asked for."""
    waiting = iter(pieces)
    while shard := tuple(islice(waiting, size)):
        yield shard
