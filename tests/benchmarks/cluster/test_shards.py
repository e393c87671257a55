"""How pieces are split."""

import pytest

from amused_edge.benchmarks.cluster.shards import LARGEST, TURNS, shard_size, shards


@pytest.mark.parametrize("count", [1, 2, 7, 96, 30_000])
@pytest.mark.parametrize("slots", [0, 1, 3, 64])
def test_every_piece_is_in_one_shard_and_in_its_order(count: int, slots: int) -> None:
    size = shard_size(count, slots)
    split = list(shards(range(count), size))
    assert [piece for shard in split for piece in shard] == list(range(count))
    assert 1 <= max(map(len, split)) <= LARGEST
    assert len(split) >= min(count, TURNS * slots)  # nobody waits long for the last


def test_pieces_are_asked_for_as_they_are_needed() -> None:
    """Those of 30,000 prompts have their pictures with them."""
    asked: list[int] = []

    def pieces() -> "object":
        for number in range(10):
            asked.append(number)
            yield number

    split = shards(pieces(), 3)  # type: ignore[arg-type, var-annotated]
    assert next(split) == (0, 1, 2)
    assert asked == [0, 1, 2]
