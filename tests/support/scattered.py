"""A crew like a cluster's, without one: shards in any order, pickled there and back, some of them done twice."""

import pickle
import random
from collections.abc import Callable, Iterable
from typing import Any

from amused_edge.benchmarks.cluster.kin import own_facts
from amused_edge.benchmarks.cluster.node import Order, do_shard
from amused_edge.benchmarks.cluster.parcels import chunk, pack
from amused_edge.benchmarks.cluster.shards import shards


class Scattered:
    """Does shards of `size` pieces in an order that `seed` decides; every third is lost and done again.

    `fetched` counts the chunks that were sent.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._random = random.Random(seed)
        self.fetched: list[str] = []

    def run(
        self,
        job: Any,
        pieces: Iterable[Any],
        count: int,
        keep: Callable[[Any, Any], None],
        tell: Callable[[str, int], None] | None = None,
    ) -> None:
        parcels = {parcel.digest: parcel for parcel in map(pack, job.needs)}
        order = pickle.dumps(Order(job, tuple(parcels.values()), 1, own_facts()))

        def fetch(digest: str, name: str, number: int) -> bytes:
            self.fetched.append(name)
            return chunk(parcels[digest], name, number)

        waiting = list(shards(pieces, self._size))
        self._random.shuffle(waiting)
        done = 0
        for number, shard in enumerate(waiting):
            for _ in range(1 + (number % 3 == 0)):
                results = pickle.loads(pickle.dumps(do_shard(order, pickle.dumps(shard), fetch, "here")))
            for piece, result in zip(shard, results, strict=True):
                keep(piece, result)
                done += 1
        assert done == count
