"""Graphs behind a pipe, for tests of runtimes in other languages: named tensors in, named tensors out.

`python -m tests.support.graph_server` reads requests from stdin and writes answers to stdout. Each is a line of JSON,
behind which the raw values of the tensors that it lists follow, one after the other, little-endian:

    {"op": "load", "graph": 1, "bundle": "demo/bundle", "role": "denoiser"}
    {"op": "run", "graph": 1, "tensors": [{"name": "tokens", "dtype": "int64", "shape": [1, 16, 16]}, ...]}
    {"op": "close", "graph": 1}

An answer is `{"tensors": [...]}`, or `{"error": "..."}` with what an engine said. Other servers add operations.
"""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines import EngineOptions, load_graph
from amused_edge.runtime.engines.graph import Graph
from amused_edge.runtime.errors import AmusedEdgeError

Request = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
Operation = Callable[[Request], Any]
"""Takes a request, returns what its answer holds beside tensors (JSON)."""

ENGINE = EngineOptions(threads=1)


class GraphServer:
    """Answers requests until the input ends."""

    def __init__(self, operations: dict[str, Operation]) -> None:
        self._operations = operations
        self._graphs: dict[int, Graph] = {}

    def serve(self, given: IO[bytes], taken: IO[bytes]) -> None:
        """Answer all requests of a stream."""
        for line in given:
            request = json.loads(line)
            arrays = _read(given, request.get("tensors", []))
            try:
                values, results = self._answer(request, arrays)
            except AmusedEdgeError as error:
                values, results = {"error": str(error)}, {}
            _write(taken, values, results)

    def _answer(self, request: Request, arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        operation = request["op"]
        if operation in self._operations:
            return {"result": self._operations[operation](request)}, {}
        number = request["graph"]
        if operation == "run":
            return {}, self._graphs[number](arrays)
        if operation == "load":
            self._graphs[number] = load_graph(opened(request["bundle"]), request["role"], ENGINE)
        else:
            self._graphs.pop(number).close()
        return {}, {}


@cache
def opened(folder: str) -> Bundle:
    return Bundle.open(Path(folder))


def _read(file: IO[bytes], tensors: list[dict[str, Any]]) -> Arrays:
    arrays = {}
    for tensor in tensors:
        dtype, shape = np.dtype(tensor["dtype"]), tensor["shape"]
        content = file.read(dtype.itemsize * int(np.prod(shape)))
        arrays[tensor["name"]] = np.frombuffer(content, dtype).reshape(shape)
    return arrays


def _write(file: IO[bytes], values: dict[str, Any], arrays: Arrays) -> None:
    tensors = [{"name": name, "dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()]
    file.write(json.dumps({**values, "tensors": tensors}).encode() + b"\n")
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).tobytes())
    file.flush()


def main(operations: dict[str, Operation] | None = None) -> None:
    """Serve stdin and stdout; whatever a library prints goes to stderr."""
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr
    GraphServer(operations or {}).serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
