"""The plain graphs in ONNX Runtime: as exported, or quantized by optimum."""

from typing import TYPE_CHECKING, Any

import onnxruntime as ort
from numpy.typing import NDArray

from amused_edge.benchmarks.execution.audit import Audit
from amused_edge.benchmarks.peers.one_graph import OneGraphSubject, Run
from amused_edge.runtime.engines.graph import Arrays
from amused_edge.runtime.engines.options import CPU_PROVIDER, EngineOptions

if TYPE_CHECKING:
    from amused_edge.benchmarks.execution.peaks import Peaks


class OnnxSubject(OneGraphSubject):
    """`denoiser.onnx` and `image_decoder.onnx` of a folder, with ONNX Runtime's default settings but for the threads:
    as many as bundles get.
    """

    def open_graph(self, name: str) -> Run:
        """Load a graph."""
        options = self._options()
        model = str(self.folder / f"{name}.onnx")
        session = ort.InferenceSession(model, options, providers=[CPU_PROVIDER])

        def run(feeds: Arrays) -> NDArray[Any]:
            result: NDArray[Any] = session.run(None, dict(feeds))[0]
            return result

        return run

    def peaks(self) -> "Peaks":
        """Return the products that the graphs' are held against."""
        from amused_edge.benchmarks.execution.peaks import Peaks

        return Peaks(self._options())

    def _options(self) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = EngineOptions(threads=self.threads).cpu_threads
        options.log_severity_level = 3
        return options

    def audit_graph(self, name: str, feeds: Arrays) -> Audit:
        """Profile a graph."""
        from amused_edge.benchmarks.execution.profiling import audit_model

        engine = EngineOptions(threads=self.threads)
        return audit_model(self.folder / f"{name}.onnx", feeds, engine, options=self._options())
