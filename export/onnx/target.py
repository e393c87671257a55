"""Export for ONNX Runtime."""

from importlib.metadata import version
from pathlib import Path

import onnx_ir as ir
from torch import nn

from amused_edge.export.errors import ExportError
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules.denoiser import Denoiser
from amused_edge.export.modules.layers import derived_tensors
from amused_edge.export.modules.row_cache import RowCacheDenoiser
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
    row_cache
        Give the denoiser a row cache, see `modules.row_cache`; only with "cpu".

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

    def __init__(
        self, optimize: Optimization = "portable", *, with_sampler: bool = False, row_cache: bool = False
    ) -> None:
        if optimize not in OPTIMIZATIONS:
            raise ExportError(f"optimize is {quoted(optimize)}; choose {', '.join(OPTIMIZATIONS)}")
        if row_cache and optimize != "cpu":
            raise ExportError(f"a row cache is for graphs made for CPUs, and optimize is {optimize}; choose cpu")
        self.optimize = optimize
        self.with_sampler = with_sampler
        self.row_cache = row_cache

    def engine_info(self) -> EngineInfo:
        """See `ExportTarget`."""
        return EngineInfo("onnxruntime", version("onnxruntime"), OLDEST_ENGINE_TRIED, self.optimize)

    def write(self, spec: GraphSpec, module: nn.Module, inputs: Inputs, writer: BundleWriter) -> GraphEntry:
        """See `ExportTarget`."""
        file = f"{spec.role}.onnx"
        if self.row_cache and isinstance(module, Denoiser):
            model = self._with_row_cache(RowCacheDenoiser(module), inputs, spec.outputs, writer.path / file)
        else:
            one_row = self.optimize == "cpu" and spec.role in _ONE_ROW
            path = writer.path / file
            model = to_onnx.export_onnx(module, inputs, spec.outputs, path, optimize=self.optimize, one_row=one_row)
        return GraphEntry(
            files=(writer.entry(file), writer.entry(f"{file}.data")),
            inputs=to_onnx.tensor_specs(list(model.graph.inputs)),
            outputs=to_onnx.tensor_specs(list(model.graph.outputs)),
            stored_precision="float32",
            executed_precision="float32",
            derived_tensors=derived_tensors(module),
        )

    def _with_row_cache(
        self, module: RowCacheDenoiser, inputs: Inputs, outputs: tuple[str, ...], path: Path
    ) -> ir.Model:
        return to_onnx.export_onnx(
            module,
            module.example(inputs),
            (*outputs, *module.kept_names),
            path,
            optimize=self.optimize,
            dynamic=module.dynamic,
            input_names=module.input_names,
        )

    def write_files(self, geometry: Geometry, writer: BundleWriter) -> dict[str, FileEntry]:
        """See `ExportTarget`."""
        if not self.with_sampler:
            return {}
        ir.save(sampler_model(geometry), writer.path / SAMPLER_NAME)
        return {SAMPLER_NAME: writer.entry(SAMPLER_NAME)}
