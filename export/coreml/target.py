"""Export for Core ML. Its packages are checked with the NumPy evaluator, because Core ML itself runs on a Mac only."""

from torch import nn

from amused_edge.export.coreml.write import CoreMLOptions, export_coreml, tensor_specs, weight_name
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules.layers import derived_tensors
from amused_edge.export.parity import HALF_TOLERANCES, ParityTolerances
from amused_edge.export.target import ExportTarget
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.coreml.description import EVALUATOR, GOLDEN_TOLERANCE, precisions
from amused_edge.runtime.engines.coreml.package import package_files


class CoreMLTarget(ExportTarget):
    """See `ExportTarget`."""

    name = "coreml"
    tools = ("coremltools",)
    engine = EngineOptions(simulate="half", check_floats=True)
    evaluator = EVALUATOR
    golden_tolerance = GOLDEN_TOLERANCE

    def __init__(self, options: CoreMLOptions) -> None:
        self._options = options
        self.tolerances = HALF_TOLERANCES if options.precision == "float16" else ParityTolerances()

    def engine_info(self) -> EngineInfo:
        """See `ExportTarget`."""
        return EngineInfo("coreml", f"iOS {self._options.ios}", "none")

    def write(self, spec: GraphSpec, module: nn.Module, inputs: Inputs, writer: BundleWriter) -> GraphEntry:
        """See `ExportTarget`."""
        folder = f"{spec.role}.mlpackage"
        program = export_coreml(module, inputs, spec.outputs, writer.path / folder, self._options)
        return GraphEntry(
            files=tuple(writer.entry(file) for file in package_files(writer.path, folder)),
            inputs=tensor_specs(program, program.inputs),
            outputs=tensor_specs(program, program.outputs),
            stored_precision=self._options.stored(module),
            executed_precision=precisions(program),
            derived_tensors={weight_name(name): sources for name, sources in derived_tensors(module).items()},
        )
