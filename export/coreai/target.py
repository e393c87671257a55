"""Export for Core AI, whose runtime executes the packages where they are made: parity is measured."""

from importlib.metadata import version

from torch import nn

from amused_edge.export.coreai.write import CoreAIOptions, export_coreai
from amused_edge.export.graphs import GraphSpec, Inputs
from amused_edge.export.modules.layers import derived_tensors
from amused_edge.export.parity import HALF_TOLERANCES, ParityTolerances
from amused_edge.export.target import ExportTarget
from amused_edge.runtime.bundle.graph_entry import GraphEntry
from amused_edge.runtime.bundle.manifest import EngineInfo
from amused_edge.runtime.bundle.writer import BundleWriter
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.engines.coreai.package import GOLDEN_TOLERANCE, package_files, package_name
from amused_edge.runtime.engines.coreai.process import PackageProcess

OLDEST_ENGINE_TRIED = "1.0.0b3"
"""The release of coreai-core that bundles were run with."""


class CoreAITarget(ExportTarget):
    """See `ExportTarget`."""

    name = "coreai"
    tools = ("coreai-core", "coreai-torch")
    engine = EngineOptions()
    evaluator = None
    golden_tolerance = GOLDEN_TOLERANCE

    def __init__(self, options: CoreAIOptions) -> None:
        self._options = options
        self.tolerances = HALF_TOLERANCES if options.precision == "float16" else ParityTolerances()

    def engine_info(self) -> EngineInfo:
        """See `ExportTarget`."""
        return EngineInfo("coreai", version("coreai-core"), OLDEST_ENGINE_TRIED)

    def write(self, spec: GraphSpec, module: nn.Module, inputs: Inputs, writer: BundleWriter) -> GraphEntry:
        """See `ExportTarget`."""
        folder = writer.path / package_name(spec.role)
        export_coreai(module, inputs, spec.outputs, folder, self._options)
        process = PackageProcess(folder)
        process.end()
        return GraphEntry(
            files=tuple(writer.entry(file) for file in package_files(spec.role)),
            inputs=process.inputs,
            outputs=process.outputs,
            stored_precision=self._options.stored(module),
            executed_precision=process.precisions,
            derived_tensors=derived_tensors(module),
        )
