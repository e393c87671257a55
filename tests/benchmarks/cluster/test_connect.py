"""What is no cluster is told before Ray is asked, which would wait without end."""

import socket
import threading

import pytest

from amused_edge.benchmarks.cluster import connect
from amused_edge.benchmarks.cluster.connect import ray_crew
from amused_edge.benchmarks.cluster.errors import ClusterError
from amused_edge.runtime.errors import OptionsError


@pytest.mark.parametrize("address", ["", "w8", "bundles/w8", "host", "host:", ":6379", "host:port", "host:-1", "Auto"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(OptionsError, match="is no address of a Ray cluster; give HOST:PORT"), ray_crew(address):
        pass


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_another_server(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing, and one that knows only HTTP/1."""
    monkeypatch.setattr(connect, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            connection, _ = server.accept()
            taken.append(connection)
            connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"what answers at {address} is no Ray cluster"), ray_crew(address):
            pass
        thread.join()
        taken[0].close()


@pytest.mark.parametrize("port", [0, 99999])
def test_nobody(port: int) -> None:
    with pytest.raises(ClusterError, match="no Ray cluster can be reached at"), ray_crew(f"127.0.0.1:{port}"):
        pass
