"""What a node does: it unpacks what a job needs, opens the job once in a process, and does shards of it.

Ray sends one shard after the other to the same process, so that the open job has to stay behind between them.
"""

import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from amused_edge.benchmarks.cluster.crew import Site
from amused_edge.benchmarks.cluster.kin import check_kin, own_facts
from amused_edge.benchmarks.cluster.parcels import Fetch, Parcel, unpack


@dataclass(frozen=True)
class Order:
    """A job as it is sent to nodes, pickled.

    Attributes
    ----------
    job
        A `Job`.
    parcels
        What it needs.
    threads
        Of its engines.
    facts
        What a node must have, see `check_kin`.
    """

    job: Any
    parcels: tuple[Parcel, ...]
    threads: int
    facts: Mapping[str, Any]


@dataclass
class _Open:
    key: str = ""
    work: Callable[[Any], Any] | None = None
    stack: ExitStack = field(default_factory=ExitStack)


_OPEN = _Open()


def do_shard(order: bytes, pieces: bytes, fetch: Fetch, node: str) -> list[Any]:
    """Do a shard's pieces; return their results.

    Parameters
    ----------
    order, pieces
        Pickled: an `Order`, and a sequence of pieces.
    fetch
        Gets a chunk of a parcel.
    node
        This node's name in errors.
    """
    work = _opened(order, fetch, node)
    shard: Sequence[Any] = pickle.loads(pieces)
    return [work(piece) for piece in shard]


def _opened(order: bytes, fetch: Fetch, node: str) -> Callable[[Any], Any]:
    key = hashlib.sha256(order).hexdigest()
    if _OPEN.work is None or _OPEN.key != key:
        _OPEN.stack.close()
        _OPEN.work = None
        opened: Order = pickle.loads(order)
        check_kin(node, own_facts(), opened.facts)
        places = {parcel.place: str(unpack(parcel, fetch)) for parcel in opened.parcels}
        _OPEN.work = _OPEN.stack.enter_context(opened.job.open(Site(opened.threads, places)))
        _OPEN.key = key
    return _OPEN.work
