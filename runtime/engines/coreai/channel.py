"""Messages between a graph and its process: a few fields as JSON, then arrays as they lie in memory; no pickles."""

import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fields = dict[str, Any]
Arrays = Mapping[str, NDArray[Any]]


def send(connection: Connection, fields: Fields, arrays: Arrays | None = None) -> None:
    """Send a message; raises `OSError` if nobody is there."""
    held = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    described = {name: (array.dtype.str, array.shape) for name, array in held.items()}
    connection.send_bytes(json.dumps({"fields": fields, "arrays": described}).encode())
    for array in held.values():
        connection.send_bytes(array.reshape(-1).view(np.uint8).data)


def receive(connection: Connection) -> tuple[Fields, dict[str, NDArray[Any]]]:
    """Wait for a message; raises `EOFError` or `OSError` if the other side has ended."""
    head = json.loads(connection.recv_bytes())
    arrays = {}
    for name, (dtype, shape) in head["arrays"].items():
        arrays[name] = np.frombuffer(bytearray(connection.recv_bytes()), dtype).reshape(shape)
    return head["fields"], arrays
