"""Traces a module and writes it as ONNX with its weights beside it."""

import logging
import warnings
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from amused_edge.export.graphs import Inputs
from amused_edge.export.onnx.cpu_operators import rewrite_for_cpu
from amused_edge.export.onnx.few_parts import limit_parts
from amused_edge.export.onnx.opset import IR_VERSION, OPSET
from amused_edge.export.onnx.simplify import simplify
from amused_edge.export.onnx.trace import trace
from amused_edge.runtime.bundle.graph_entry import TensorSpec
from amused_edge.runtime.bundle.manifest import Optimization
from amused_edge.runtime.bundle.read_back import check_initializers
from amused_edge.runtime.checks import present

BATCH = "batch"


def export_onnx(
    module: nn.Module,
    example: Inputs | dict[str, Any],
    outputs: tuple[str, ...],
    path: Path,
    *,
    optimize: Optimization = "portable",
    one_row: bool = False,
    dynamic: dict[str, Any] | None = None,
    input_names: tuple[str, ...] | None = None,
) -> ir.Model:
    """Write `path` (the graph) and `path` + ".data" (the weights).

    Parameters
    ----------
    example
        Inputs by name; the first axis of each becomes dynamic, except with `one_row`.
    outputs
        Names of what the module returns.
    optimize
        "portable": operators of the ONNX standard, none with many parts; "cpu": those of ONNX Runtime that are fastest
        on CPUs.
    one_row
        Write a graph of batch 1, with the first row of `example` as its example.
    dynamic
        Axes that have no fixed length, as torch.export takes them, in place of the first ones.
    input_names
        Where `example` has tuples of several inputs, whose names are not theirs.

    Returns
    -------
    The model as written; its initializers still refer to the module's tensors.
    """
    if one_row:
        example = {name: value[:1] for name, value in example.items()}
    if dynamic is None and not one_row:
        dynamic = {name: {0: torch.export.Dim(BATCH)} for name in example}
    with warnings.catch_warnings(), _Quiet("torch.onnx", "onnxscript", "onnx_ir"), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            trace(module, example, dynamic),
            kwargs=example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_names or example),
            output_names=list(outputs),
            dynamic_shapes=dynamic,  # for the axes' names
            verbose=False,
            optimize=False,
        )
        model = present(program, "the exporter's program").model
        simplify(model, {name for name, _ in module.named_parameters()})
    if optimize == "cpu":
        rewrite_for_cpu(model)
    else:
        limit_parts(model)
    _forget_origin(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    model.producer_name, model.producer_version = "amused-edge", None
    ir.save(model, path, external_data=f"{path.name}.data", size_threshold_bytes=1024)
    check_initializers(path, model.graph.initializers, ir.load(path).graph.initializers)
    return model


def tensor_specs(values: list[ir.Value]) -> tuple[TensorSpec, ...]:
    """Return the manifest's form of a graph's inputs or outputs."""
    specs = []
    for value in values:
        name = present(value.name, "the name of an input or output")
        sides, dtype = present(value.shape, f"the shape of {name}"), present(value.dtype, f"the type of {name}")
        shape = tuple(d if isinstance(d, int) else str(d.value) for d in sides)
        specs.append(TensorSpec(name, dtype.numpy().name, shape))
    return tuple(specs)


def _forget_origin(model: ir.Model) -> None:
    """Drop stack traces, module paths and documentation, which name files of the exporting machine."""
    model.metadata_props.clear()
    model.doc_string = None
    for graph in (model.graph, *(f.graph for f in model.functions.values())):
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in ir.traversal.RecursiveGraphIterator(graph):
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
                value.doc_string = None
        for value in (*graph.inputs, *graph.initializers.values()):
            value.metadata_props.clear()
            value.doc_string = None


class _Quiet:
    """Silence loggers for a while; errors still come as exceptions."""

    def __init__(self, *names: str) -> None:
        self._loggers = [logging.getLogger(name) for name in names]
        self._levels = [item.level for item in self._loggers]

    def __enter__(self) -> None:
        for item in self._loggers:
            item.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        for item, level in zip(self._loggers, self._levels, strict=True):
            item.setLevel(level)
