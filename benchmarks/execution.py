"""Which precision each operator really ran in, as a share of time: read from the engine's own profile.

A bundle whose name or recipe promises 8-bit or half arithmetic is held against it: `Audit.contradiction`.
"""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from amused_edge.benchmarks.precision_audit import INTEGER_PRODUCTS, PRODUCTS, int8_block_products
from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.engines.onnx_runtime import session_options
from amused_edge.runtime.engines.options import EngineOptions

Feeds = Mapping[str, np.ndarray[Any, Any]]

CALLS = 3
KEPT = 0.5
"""A promise is kept if this share of the products' time, or more, ran as promised."""

_TYPES = {"float": "float32", "float16": "float16", "double": "float64", "bfloat16": "bfloat16"}
_PROMISES = {
    "int8": re.compile(r"(?<![a-z0-9])(w\d+a8|a8|int8|i8|w8a8)(?![0-9])", re.IGNORECASE),
    "float16": re.compile(r"(?<![a-z0-9])(fp16|float16|f16|half)(?![a-z0-9])", re.IGNORECASE),
}


@dataclass(frozen=True)
class Operator:
    """All nodes of one kind in one graph.

    Attributes
    ----------
    name
        The engine's, for example "DynamicQuantizeMatMul".
    precision
        What it computes in: "int8", "float16", "float32"; "conversion" where it changes one into another; "other" for
        indices, shapes and truth values.
    seconds
        A call of the graph.
    product
        Whether it is a matrix product or convolution, which do nearly all of the arithmetic.
    """

    name: str
    precision: str
    nodes: int
    seconds: float
    product: bool


@dataclass(frozen=True)
class Audit:
    """What one graph ran in.

    Attributes
    ----------
    operators
        The slowest first.
    """

    operators: tuple[Operator, ...]

    def shares(self, products: bool = False) -> dict[str, float]:
        """Return precision -> share of the time, the largest first; of the products' time if asked."""
        chosen = [operator for operator in self.operators if operator.product or not products]
        total = sum(operator.seconds for operator in chosen)
        seconds: dict[str, float] = defaultdict(float)
        for operator in chosen:
            seconds[operator.precision] += operator.seconds
        return {name: value / total for name, value in sorted(seconds.items(), key=lambda item: -item[1]) if total}

    @staticmethod
    def of_picture(stages: "Mapping[str, Audit]", steps: int, branches: int) -> "Audit":
        """Return what a whole picture ran in: the denoiser `steps` times, the text's graphs once for each branch."""
        calls = {"denoiser": steps, "text_encoder": branches, "conditioner": branches}
        operators = [
            replace(operator, seconds=operator.seconds * calls.get(stage, 1))
            for stage, audit in stages.items()
            for operator in audit.operators
        ]
        return Audit(tuple(sorted(operators, key=lambda operator: -operator.seconds)))

    def contradiction(self, promised: str | None) -> str | None:
        """Return what is wrong with a promise ("int8" or "float16"), or None where it is kept or none was made."""
        shares = self.shares(products=True)
        if promised is None or not shares or shares.get(promised, 0.0) >= KEPT:
            return None
        most, share = next(iter(shares.items()))
        return f"promises {promised}, ran {share:.0%} in {most}"


def promised_precision(*names: str) -> str | None:
    """Return the arithmetic that names (a bundle's label, its recipe) promise: "int8", "float16" or None.

    "w8a8" and "int8" promise 8-bit arithmetic, "fp16" and "half" halves; "w8" and "w4" are about weights only.
    """
    for precision, pattern in _PROMISES.items():
        if any(pattern.search(name) for name in names):
            return precision
    return None


def audit_bundle(bundle: Bundle, feeds: Mapping[str, Feeds], engine: EngineOptions) -> dict[str, Audit]:
    """Profile some of a bundle's graphs; role -> what it ran in.

    Parameters
    ----------
    feeds
        Role -> its inputs; these roles are profiled.
    """
    files = {role: bundle.file(bundle.graph(role).files[0]) for role in feeds}
    return {role: audit_model(files[role], feeds[role], engine) for role in feeds}


def audit_model(model: Path, feeds: Feeds, engine: EngineOptions, calls: int = CALLS) -> Audit:
    """Profile an `.onnx` file on the CPU engine, `calls` times after one that does not count."""
    with tempfile.TemporaryDirectory(prefix="amused-edge-") as folder:
        options = session_options(engine)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "optimised.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        for _ in range(1 + calls):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text())
        int8_blocks = int8_block_products(Path(folder) / "optimised.onnx")
    return _account(_node_times(events, 1 + calls), int8_blocks, calls)


def _node_times(events: Iterable[Any], runs: int) -> dict[str, list[Any]]:
    """Return the events of each node, without those of the first run."""
    suffix = "_kernel_time"
    nodes: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(suffix):
            nodes[event["name"].removesuffix(suffix)].append(event)
    return {name: seen[len(seen) // runs :] for name, seen in nodes.items()}


def _account(nodes: Mapping[str, list[Any]], int8_blocks: frozenset[str], calls: int) -> Audit:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for name, events in nodes.items():
        arguments = events[0]["args"]
        kind = arguments["op_name"], _precision(name, arguments, int8_blocks)
        counts[kind] += 1
        seconds[kind] += 1e-6 * sum(event["dur"] for event in events) / calls
    operators = [
        Operator(operator, precision, counts[operator, precision], time, operator in PRODUCTS)
        for (operator, precision), time in seconds.items()
    ]
    return Audit(tuple(sorted(operators, key=lambda operator: -operator.seconds)))


def _precision(name: str, arguments: Mapping[str, Any], int8_blocks: frozenset[str]) -> str:
    operator = arguments["op_name"]
    nameless = operator == "MatMulNBits" and re.fullmatch(r"MatMulNBits_\d+", name) is not None
    if operator in INTEGER_PRODUCTS or name in int8_blocks or (nameless and "" in int8_blocks):
        return "int8"
    taken, given = (_dtypes(arguments[side]) for side in ("input_type_shape", "output_type_shape"))
    if operator in ("Cast", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
        return "conversion"
    floats = [_TYPES[dtype] for dtype in (*taken, *given) if dtype in _TYPES]
    if floats:
        return floats[0]
    return "int8" if {"int8", "uint8"} & {*taken, *given} else "other"


def _dtypes(tensors: Iterable[Mapping[str, Any]]) -> list[str]:
    return [dtype for tensor in tensors for dtype in tensor]
