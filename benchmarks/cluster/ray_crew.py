"""A crew on the nodes of a Ray cluster. What runs where, and what is run again when a node is lost, is Ray's to say."""

import pickle
import time
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from amused_edge.benchmarks.cluster.crew import Job, P, R, Tell
from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.benchmarks.cluster.kin import check_kin, own_facts
from amused_edge.benchmarks.cluster.node import Order
from amused_edge.benchmarks.cluster.parcels import Parcel, chunk, pack
from amused_edge.benchmarks.cluster.shards import shard_size, shards
from amused_edge.runtime.errors import AmusedEdgeError, OptionsError, first_line
from amused_edge.runtime.system.cpu import usable_cores

RETRIES = 20
"""How often a shard may be lost with its node."""

WAIT, PATIENCE = 2.0, 600.0
"""Seconds between looks at the cluster, and without a node that could work before a run is given up."""


class RayCrew:
    """The nodes of the cluster that this process is connected to; see `ray_crew` for the arguments."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or usable_cores()

    def check(self) -> None:
        """Raise unless a node has cores enough, and all nodes have what this machine has; see `ray_crew`."""
        if not self._slots():
            most = max((int(node["Resources"].get("CPU", 0)) for node in _alive()), default=0)
            raise OptionsError(
                f"no node of the cluster has {self.threads} cores, {most} is the most; give fewer --threads"
            )
        wanted = own_facts()
        look = ray.remote(num_cpus=0, max_retries=0)(_look())
        asked = []
        for node in _alive():
            if node["Resources"].get("CPU", 0) >= self.threads:
                here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                answer = look.options(scheduling_strategy=here).remote(list(wanted))
                asked.append((node["NodeManagerAddress"], answer))
        for name, answer in asked:
            try:
                found = ray.get(answer)
            except ray.exceptions.RayError as error:
                raise ClusterError(f"node {name} does not answer: {first_line(error)}") from error
            check_kin(name, found, wanted)

    def run(
        self, job: Job[P, R], pieces: Iterable[P], count: int, keep: Callable[[P, R], None], tell: Tell | None = None
    ) -> None:
        """Do pieces, see `Crew`: the shards that are lost with a node are done again, and each is kept once."""
        if not count:
            return
        parcels = tuple(pack(place) for place in job.needs)
        order = ray.put(pickle.dumps(Order(job, parcels, self.threads, own_facts())))
        depot = _depot(parcels)
        takes = {"num_cpus": self.threads, "memory": job.memory or None}
        submit = ray.remote(**takes, max_retries=RETRIES, scheduling_strategy="SPREAD")(_shard_task())
        waiting = shards(pieces, shard_size(count, self._slots()))
        running: dict[Any, tuple[P, ...]] = {}
        done, idle = 0, time.monotonic()
        try:
            while True:
                slots = self._slots()
                idle = time.monotonic() if slots else idle
                while len(running) < 2 * max(1, slots) and (shard := next(waiting, None)):
                    running[submit.remote(order, pickle.dumps(shard), depot)] = shard
                if not running:
                    return
                if tell is not None:
                    tell(f"{done} of {count}, {len(_alive())} nodes, {slots} at a time", done)
                for ready in ray.wait(list(running), timeout=WAIT)[0]:
                    results = _result(ready)
                    for piece, result in zip(running.pop(ready), results, strict=True):
                        keep(piece, result)
                        done += 1
                if time.monotonic() - idle > PATIENCE:
                    raise ClusterError(f"no node of the cluster has had {self.threads} cores for {PATIENCE:g} seconds")
        finally:
            for left in running:
                ray.cancel(left, force=True)
            ray.kill(depot)

    def _slots(self) -> int:
        """Return how many shards the cluster can do at the same time."""
        return sum(int(node["Resources"].get("CPU", 0)) // self.threads for node in _alive())


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _result(ready: Any) -> Any:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AmusedEdgeError):
            raise type(cause)(f"{cause} (on node {error.ip})") from error
        if isinstance(cause, ModuleNotFoundError):
            raise ClusterError(f"node {error.ip} lacks {cause.name}; install there what is installed here") from error
        raise ClusterError(f"node {error.ip} failed: {first_line(cause or error)}") from error
    except ray.exceptions.RayError as error:
        raise ClusterError(f"a shard was lost {RETRIES} times: {first_line(error)}") from error


# What is sent to nodes is pickled by value, as functions within functions are: a node that lacks this package, or has
# an old one, can still tell.


def _look() -> Callable[[list[str]], dict[str, Any]]:
    def look(names: list[str]) -> dict[str, Any]:
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, Any] = {}
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = None
        try:
            from amused_edge.benchmarks.cluster.kin import own_facts
        except ImportError:
            return found
        return own_facts()

    return look


def _shard_task() -> Callable[[bytes, bytes, Any], list[Any]]:
    def shard(order: bytes, pieces: bytes, depot: Any) -> list[Any]:
        import ray

        from amused_edge.benchmarks.cluster.node import do_shard

        def fetch(*what: Any) -> bytes:
            (part,) = ray.get(depot.chunk.remote(*what))
            data: bytes = ray.get(part)
            return data

        return do_shard(order, pieces, fetch, ray.util.get_node_ip_address())

    return shard


class _Depot:
    """Reads what nodes ask for, once for all nodes: Ray passes it on from node to node, and drops what none needs."""

    def __init__(self, parcels: tuple[Parcel, ...]) -> None:
        self._parcels = {parcel.digest: parcel for parcel in parcels}
        self._parts: dict[tuple[str, str, int], Any] = {}

    def chunk(self, digest: str, name: str, number: int) -> list[Any]:
        """Return a reference to a chunk, in a list: as it is, Ray would send what it refers to."""
        key = (digest, name, number)
        if key not in self._parts:
            self._parts[key] = ray.put(chunk(self._parcels[digest], name, number))
        return [self._parts[key]]


def _depot(parcels: tuple[Parcel, ...]) -> Any:
    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(_Depot).options(scheduling_strategy=here).remote(parcels)
