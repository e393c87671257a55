"""The way to a Ray cluster: that of an address, or one that lives as long as a run, on this machine alone."""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.runtime.errors import OptionsError, first_line, quoted

if TYPE_CHECKING:
    from amused_edge.benchmarks.cluster.ray_crew import RayCrew

AUTO, LOCAL = "auto", "local"
"""The cluster that RAY_ADDRESS names or that runs on this machine; one that is started here, and ends with the run."""

PATIENCE = 5.0
"""Seconds to wait for an address."""


@contextmanager
def ray_crew(address: str, threads: int | None = None) -> Iterator["RayCrew"]:
    """Give the crew of a cluster.

    Parameters
    ----------
    address
        HOST:PORT of its head, of which this machine is a node; or `AUTO`, or `LOCAL`.
    threads
        Cores that a node gives to one process of a job; None: as many as an engine would use here.

    Raises
    ------
    OptionsError
        The address is none, or no node has so many cores.
    ClusterError
        The cluster cannot be reached, is of other versions of Ray or Python, or a node cannot do the work.
    """
    _check_address(address)
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # or Ray would tell of lost nodes among the results
    if address == LOCAL and "RAY_AUTH_MODE" not in os.environ:  # a secret of this run's, which is not left in the home
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray  # which reads these as it is imported

    from amused_edge.benchmarks.cluster.ray_crew import RayCrew

    _connect(ray, address)
    try:
        crew = RayCrew(threads)
        crew.check()
        yield crew
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    if address in (AUTO, LOCAL):
        return
    host, mark, port = address.rpartition(":")
    if not mark or not host or not port.isdecimal():
        raise OptionsError(
            f"{quoted(address)} is no address of a Ray cluster; give HOST:PORT, {AUTO} or {LOCAL}, as in --ray={AUTO}"
        )
    advice = "start one there: ray start --head"
    try:
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            greeted = "RAY_USE_TLS" in os.environ or _greets(connection)
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no Ray cluster can be reached at {address}: {first_line(error)}; {advice}") from error
    if not greeted:
        raise ClusterError(f"what answers at {address} is no Ray cluster; {advice}")


def _greets(connection: socket.socket) -> bool:
    """Return whether a server answers as gRPC does, by HTTP/2: Ray itself would wait for others without end."""
    connection.settimeout(PATIENCE)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
    try:
        return connection.recv(9)[3:4] == _SETTINGS[3:4]
    except TimeoutError:
        return False


_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""A frame of no length and type 4: RFC 9113, 6.5."""


def _connect(ray: Any, address: str) -> None:
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # of nodes that are lost the caller tells
    quiet: dict[str, Any] = {"configure_logging": False, "log_to_driver": False, "include_dashboard": None}
    if address == LOCAL:
        quiet |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    heeded = signal.getsignal(signal.SIGTERM)  # which Ray takes for itself
    try:
        ray.init(address=address, **quiet)
        if heeded is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, heeded)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = "on this machine" if address in (AUTO, LOCAL) else f"at {address}"
        raise ClusterError(f"no Ray cluster can be joined {where}: {error}") from error
