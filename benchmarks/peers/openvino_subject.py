"""The plain graphs in OpenVINO, with 8-bit weights."""

from collections import defaultdict
from typing import Any

import openvino as ov
from numpy.typing import NDArray

from amused_edge.benchmarks.execution.audit import Audit, Operator
from amused_edge.benchmarks.peers.one_graph import OneGraphSubject, Run
from amused_edge.runtime.engines.graph import Arrays

CALLS = 3
NOT_TOLD = "8-bit weights, arithmetic not told"
_TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "int8"}
_PRODUCTS = frozenset({"MatMul", "FullyConnected", "Convolution", "Deconvolution", "ScaledDotProductAttention"})


class OpenVinoSubject(OneGraphSubject):
    """`denoiser.xml` and `image_decoder.xml` of a folder, on the CPU, tuned for latency."""

    def open_graph(self, name: str) -> Run:
        """Load a graph."""
        request = self._compile(name, {}).create_infer_request()

        def run(feeds: Arrays) -> NDArray[Any]:
            result: NDArray[Any] = next(iter(request.infer(dict(feeds)).values()))
            return result

        return run

    def audit_graph(self, name: str, feeds: Arrays) -> Audit:
        """Read the times that the engine kept of its operators, and what it says they ran in.

        Of a product with 8-bit weights it names the weights' type alone; whether activations were 8-bit, too, which
        needs instructions that not every CPU has, is not told.
        """
        compiled = self._compile(name, {"PERF_COUNT": True})
        request = compiled.create_infer_request()
        request.infer(dict(feeds))
        seconds: dict[str, float] = defaultdict(float)
        for _ in range(CALLS):
            request.infer(dict(feeds))
            for node in request.profiling_info:
                seconds[node.node_name] += node.real_time.total_seconds() / CALLS
        kinds: dict[tuple[str, str], list[float]] = defaultdict(list)
        for node in compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            layer, precision = str(facts["layerType"].value), str(facts["runtimePrecision"].value)
            told = _TYPES.get(precision, "other")
            told = NOT_TOLD if told == "int8" and layer in _PRODUCTS else told
            kinds[layer, told].append(seconds.get(node.get_friendly_name(), 0.0))
        operators = [
            Operator(layer, precision, len(times), sum(times), layer in _PRODUCTS)
            for (layer, precision), times in kinds.items()
        ]
        return Audit(tuple(sorted(operators, key=lambda operator: -operator.seconds)))

    def _compile(self, name: str, extra: dict[str, Any]) -> Any:
        settings = {"PERFORMANCE_HINT": "LATENCY", **extra}
        if self.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self.threads
        return ov.Core().compile_model(str(self.folder / f"{name}.xml"), "CPU", settings)
