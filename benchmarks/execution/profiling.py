"""Which precision each operator really ran in: read from ONNX Runtime's own profile and its optimised graph."""

import json
import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from amused_edge.benchmarks.execution.audit import Audit, Operator
from amused_edge.benchmarks.execution.optimised import (
    INTEGER_PRODUCTS,
    PRODUCTS,
    convolution_kernels,
    int8_block_products,
)
from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.engines.onnx.prepared import save_optimised
from amused_edge.runtime.engines.onnx.session import session_options
from amused_edge.runtime.engines.options import CPU_PROVIDER, EngineOptions
from amused_edge.runtime.engines.parallel_rows import threads_of_a_row
from amused_edge.runtime.engines.rows import has_static_batch, split
from amused_edge.runtime.system.library_paths import library_path

Feeds = Mapping[str, np.ndarray[Any, Any]]

CALLS = 3

_TYPES = {"float": "float32", "float16": "float16", "double": "float64", "bfloat16": "bfloat16"}


def audit_bundle(bundle: Bundle, feeds: Mapping[str, Feeds], engine: EngineOptions) -> dict[str, Audit]:
    """Profile some of a bundle's graphs; role -> what it ran in.

    Parameters
    ----------
    feeds
        Role -> its inputs; these roles are profiled. Of a graph of batch 1 the first row is, on the threads that it has
        where all rows are asked for: operations count for all rows, time for as many as follow each other.
    """
    found = {}
    for role, inputs in feeds.items():
        entry = bundle.graph(role)
        model = bundle.file(entry.files[0])
        if not has_static_batch(entry):
            found[role] = audit_model(model, inputs, engine)
            continue
        rows, threads = split(role, inputs), engine.cpu_threads
        one = audit_model(model, rows[0], replace(engine, threads=threads_of_a_row(len(rows), threads)))
        turns = math.ceil(len(rows) / min(len(rows), threads))
        found[role] = Audit(
            tuple(replace(o, operations=o.operations * len(rows), seconds=o.seconds * turns) for o in one.operators)
        )
    return found


def audit_model(
    model: Path, feeds: Feeds, engine: EngineOptions, calls: int = CALLS, options: ort.SessionOptions | None = None
) -> Audit:
    """Profile an `.onnx` file on the CPU engine, `calls` times after one that does not count.

    Parameters
    ----------
    options
        Of the session; those of a bundle with these engine options where None.
    """
    with tempfile.TemporaryDirectory(prefix="amused-edge-") as folder:
        options = session_options(engine) if options is None else options
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        optimised = save_optimised(options, Path(folder))
        session = ort.InferenceSession(library_path(model), options, providers=[CPU_PROVIDER])
        for _ in range(1 + calls):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        int8_blocks, kernels = int8_block_products(optimised), convolution_kernels(optimised)
    return _account(_node_times(events, 1 + calls), int8_blocks, kernels, calls)


def _node_times(events: Iterable[Any], runs: int) -> dict[str, list[Any]]:
    """Return the events of each node, without those of the first run."""
    suffix = "_kernel_time"
    nodes: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(suffix):
            nodes[event["name"].removesuffix(suffix)].append(event)
    return {name: seen[len(seen) // runs :] for name, seen in nodes.items()}


def _account(
    nodes: Mapping[str, list[Any]], int8_blocks: frozenset[str], kernels: Mapping[str, tuple[int, ...]], calls: int
) -> Audit:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    operations: dict[tuple[str, str], float] = defaultdict(float)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for name, events in nodes.items():
        arguments = events[0]["args"]
        kind = arguments["op_name"], _precision(name, arguments, int8_blocks)
        counts[kind] += 1
        operations[kind] += _operations(arguments, kernels.get(name)) if kind[0] in PRODUCTS else 0
        seconds[kind] += 1e-6 * sum(event["dur"] for event in events) / calls
    operators = [
        Operator(*kind, counts[kind], time, kind[0] in PRODUCTS, operations[kind]) for kind, time in seconds.items()
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


def _operations(arguments: Mapping[str, Any], kernel: tuple[int, ...] | None) -> float:
    """Return the multiplications and additions of a product, from the shapes that it was seen to take and give; not a
    number where they do not tell. Weights that the engine repacked are not among what was seen.
    """
    operator = arguments["op_name"]
    taken, (result, *_) = _shapes(arguments["input_type_shape"]), _shapes(arguments["output_type_shape"])
    if operator == "MultiHeadAttention":  # q k^T and the product with v, rows (B, N, H*d)
        return 4.0 * math.prod(result) * taken[1][-2]
    if "Conv" in operator:
        if kernel is None and operator in ("Conv", "FusedConv"):  # no constant, so it was seen
            kernel = next((tuple(shape) for shape in taken[1:2] if len(shape) == len(result)), None)
        if kernel is None:
            return math.nan
        return 2.0 * math.prod(taken[0] if operator == "ConvTranspose" else result) * math.prod(kernel[1:])
    if operator == "Attention":
        return math.nan
    rows = result[-2] if len(taken[0]) > 1 else 1
    return 2.0 * math.prod(result) * math.prod(taken[0][-2:]) / rows  # (M, K), or (K, M) where it is transposed


def _shapes(tensors: Iterable[Mapping[str, list[int]]]) -> list[list[int]]:
    return [shape for tensor in tensors for shape in tensor.values()]


def _dtypes(tensors: Iterable[Mapping[str, Any]]) -> list[str]:
    return [dtype for tensor in tensors for dtype in tensor]
