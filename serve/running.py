"""A server that runs in a thread of its own while a `with` block lasts, and what it is called by."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

import uvicorn

from amused_edge.runtime.errors import AmusedEdgeError, OptionsError
from amused_edge.serve import limits
from amused_edge.serve.app import application
from amused_edge.serve.http.guard import TOKEN
from amused_edge.serve.http.tls import Encryption
from amused_edge.serve.site import Site

_GRACE = 3
"""Seconds that connections have to end."""


@dataclass(frozen=True)
class Running:
    """A server that takes requests.

    Attributes
    ----------
    port
        Also where any was asked for.
    ended
        Set when the server's thread is done. A `join` that a signal interrupts takes the thread for dead (bpo-45274).
    """

    port: int
    ended: threading.Event

    def wait(self) -> None:
        """Wait until the server ends by itself, which it does where it fails; signals are heeded meanwhile."""
        while not self.ended.wait(0.5):
            pass


def listen(host: str, port: int) -> socket.socket:
    """Take a port of this machine; raises `OptionsError` where that cannot be."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(
            address[:2], family=family, backlog=limits.CONNECTIONS, dualstack_ipv6=both and address[0] == "::"
        )
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionsError(
            f"cannot listen at {host}, port {port}: {reason}; choose another --host or --port"
        ) from error


class _Server(uvicorn.Server):
    """Ends all jobs before it waits for their clients' connections to end."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._site.lines.close()
        await super().shutdown(sockets)


@contextmanager
def running(site: Site, place: socket.socket, encryption: Encryption | None = None) -> Iterator[Running]:
    """Serve a site at a place while the block lasts; then end all jobs and connections.

    Raises
    ------
    AmusedEdgeError
        The server does not start.
    """
    config = uvicorn.Config(
        application(site),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # what they say is not believed
        limit_concurrency=limits.CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
        ssl_context_factory=None if encryption is None else lambda config, default: encryption.context,
    )
    server, ended = _Server(config, site), threading.Event()

    def serve() -> None:
        try:
            server.run(sockets=[place])
        finally:
            ended.set()

    with place:
        threading.Thread(target=serve, daemon=True).start()
        while not server.started and not ended.is_set():
            time.sleep(0.01)
        if not server.started:
            raise AmusedEdgeError("the server did not start; see above")
        try:
            yield Running(place.getsockname()[1], ended)
        finally:
            server.should_exit = True
            ended.wait()


def reaches_others(host: str) -> bool:
    """Return whether other machines reach a server that listens there."""
    with suppress(ValueError):
        return not ip_address(host).is_loopback
    return host.lower() != "localhost"


def own_addresses(host: str) -> list[str]:
    """Return the addresses by which other machines reach a server that listens there, the likeliest first."""
    with suppress(ValueError):
        if not ip_address(host).is_unspecified:
            return [host]
        return _addresses_of_this_machine()
    return [host]


def _addresses_of_this_machine() -> list[str]:
    found = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # sends nothing; the system chooses the way out (an address for examples)
        found.append(asking.getsockname()[0])
    with suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return [address for address in dict.fromkeys(found) if not ip_address(address).is_loopback] or ["127.0.0.1"]


def urls(hosts: Sequence[str], port: int, *, secure: bool, token: str = "") -> list[str]:
    """Return the whole address of a server by each of its names."""
    query = f"?{TOKEN}={token}" if token else ""
    names = [f"[{host}]" if ":" in host else host for host in hosts]
    return [f"{'https' if secure else 'http'}://{name}:{port}/{query}" for name in names]
