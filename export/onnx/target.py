"""Export for ONNX Runtime."""

from importlib.metadata import version

import onnx_ir as ir
from torch import nn

from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules.layers import derived_tensors
from amused_edge.export.onnx import write as to_onnx
from amused_edge.export.onnx.sampler.step import sampler_model
from amused_edge.export.parity import ParityTolerances
from amused_edge.export.target import ExportTarget
from amused_edge.runtime.bundle.golden import Tolerance
from amused_edge.runtime.bundle.graph_entry import FileEntry, GraphEntry
from amused_edge.runtime.bundle.manifest import OPTIMIZATIONS, SAMPLER_NAME, EngineInfo, Geometry, Optimization
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import quoted

OLDEST_ENGINE_TRIED = "1.19.2"
"""`make compat` runs bundles on this release of ONNX Runtime."""

_ONE_ROW = frozenset({"denoiser"})
"""Roles that graphs made for CPUs compute a row at a time: the runtime calls them on as many cores as there are rows,
and the numbers of a row do not depend on what shares its batch.
"""


class OnnxTarget(ExportTarget):
    """See `ExportTarget`.

    Parameters
    ----------
    optimize
        What the graphs are made for, see `EngineInfo`; recipes that are applied to the bundle go by it too.
    with_sampler
        Write `sampler.onnx` too, one step of the sampler as a graph: for apps in languages without a port of the
        runtime.

    Raises
    ------
    ExportError
        There is no such choice.
    """

    name = "onnx"
    tools = ("onnx", "onnxscript", "onnx-ir", "onnxruntime")
    engine = EngineOptions(check_floats=True)
    evaluator = None
    tolerances = ParityTolerances()
    golden_tolerance = Tolerance()

    def __init__(self, optimize: Optimization = "portable", *, with_sampler: bool = False) -> None:
        if optimize not in OPTIMIZATIONS:
            raise ExportError(f"optimize is {quoted(optimize)}; choose {', '.join(OPTIMIZATIONS)}")
        self.optimize = optimize
        self.with_sampler = with_sampler

    def engine_info(self) -> EngineInfo:
        """See `ExportTarget`."""
        return EngineInfo("onnxruntime", version("onnxruntime"), OLDEST_ENGINE_TRIED, self.optimize)

    def write(self, spec: GraphSpec, module: nn.Module, inputs: Inputs, writer: BundleWriter) -> GraphEntry:
        """See `ExportTarget`."""
        file = f"{spec.role}.onnx"
        model = to_onnx.export_onnx(
            module,
            inputs,
            spec.outputs,
            writer.path / file,
            optimize=self.optimize,
            one_row=self.optimize == "cpu" and spec.role in _ONE_ROW,
        )
        return GraphEntry(
            files=(writer.entry(file), writer.entry(f"{file}.data")),
            inputs=to_onnx.tensor_specs(list(model.graph.inputs)),
            outputs=to_onnx.tensor_specs(list(model.graph.outputs)),
            stored_precision="float32",
            executed_precision="float32",
            derived_tensors=derived_tensors(module),
        )

    def write_files(self, geometry: Geometry, writer: BundleWriter) -> dict[str, FileEntry]:
        """See `ExportTarget`."""
        if not self.with_sampler:
            return {}
        ir.save(sampler_model(geometry), writer.path / SAMPLER_NAME)
        return {SAMPLER_NAME: writer.entry(SAMPLER_NAME)}
