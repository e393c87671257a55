"""The plain graphs in ONNX Runtime: as exported, or quantized by optimum."""

from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from amused_edge.benchmarks.audit import Audit
from amused_edge.benchmarks.peers.one_graph import Arrays, OneGraphSubject, Run
from amused_edge.runtime.engines.onnx_runtime import session_options
from amused_edge.runtime.engines.options import EngineOptions


class OnnxSubject(OneGraphSubject):
    """`denoiser.onnx` and `image_decoder.onnx` of a folder, with ONNX Runtime's default settings."""

    def open_graph(self, name: str) -> Run:
        """Load a graph."""
        options = session_options(EngineOptions(threads=self.threads))
        model = str(self.folder / f"{name}.onnx")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def run(feeds: Arrays) -> NDArray[Any]:
            result: NDArray[Any] = session.run(None, dict(feeds))[0]
            return result

        return run

    def audit_graph(self, name: str, feeds: Arrays) -> Audit:
        """Profile a graph."""
        from amused_edge.benchmarks.execution import audit_model

        return audit_model(self.folder / f"{name}.onnx", feeds, EngineOptions(threads=self.threads))
