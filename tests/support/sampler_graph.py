"""Runs `sampler.onnx` as an app would, with whole settings."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from amused_edge.export.onnx.sampler.step import sampler_model
from amused_edge.runtime.bundle.manifest import Geometry
from amused_edge.runtime.engines.options import CPU_PROVIDER
from amused_edge.runtime.sampling.options import ORDERS, SamplerSettings
from amused_edge.runtime.sampling.schedule import GUIDANCE_RAMPS, SCHEDULES

Arrays = dict[str, NDArray[Any]]


class SamplerGraph:
    """The graph for a grid, number of codes and mask id; `inner` names values that it shows beside its outputs."""

    def __init__(self, grid: tuple[int, int], codes: int, mask: int, inner: tuple[str, ...] = ()) -> None:
        self.grid, self.codes = grid, codes
        model = sampler_model(Geometry(8, 8, *grid, codes, mask, 77))
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
        values = {value.name: value for node in model.graph for value in node.outputs}
        for name in inner:
            values[name].type = ir.TensorType(INNER[name])
        model.graph.outputs.extend(values[name] for name in inner)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        content = ir.to_proto(model).SerializeToString()
        self._session = ort.InferenceSession(content, options, providers=[CPU_PROVIDER])

    def __call__(
        self,
        logits: NDArray[np.float32],
        tokens: NDArray[np.int64],
        settings: SamplerSettings,
        *,
        seed: int = 0,
        picture: int = 0,
        step: int = 0,
        probability: NDArray[np.float32] | None = None,
        ratio: float = 1.0,
        **replaced: NDArray[Any],
    ) -> Arrays:
        """Run one step; `replaced` are inputs that stand in the place of those of the settings."""
        temperature = settings.temperature
        feeds: Arrays = {
            "logits": logits,
            "tokens": tokens,
            "probability": np.ones(self.grid, np.float32) if probability is None else probability,
            **{name: np.array(word, np.uint64).view(np.int64) for name, word in (("seed", seed), ("picture", picture))},
            **{name: np.array(number, np.int64) for name, number in (("step", step), ("steps", settings.steps))},
            "guidance_scale": np.array(settings.guidance_scale),
            "guidance_ramp": np.array(GUIDANCE_RAMPS.index(settings.guidance_ramp)),
            "guidance_interval": np.array(settings.guidance_interval, np.float64),
            "temperature": np.array(temperature if isinstance(temperature, tuple) else (temperature, 0.01), np.float64),
            "schedule": np.array(SCHEDULES.index(settings.schedule)),
            "order": np.array(ORDERS.index(settings.order)),
            "starting_mask_ratio": np.array(ratio, np.float64),
            **replaced,
        }
        names = [value.name for value in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feeds), strict=True))

    def nothing(self) -> NDArray[np.float32]:
        """Return logits of one branch that say nothing."""
        return np.zeros((1, self.grid[0] * self.grid[1], self.codes), np.float32)


INNER = {
    "uniforms": ir.DataType.FLOAT,
    "mask_length": ir.DataType.INT64,
    "temperature_of_step": ir.DataType.FLOAT,
    "order_start": ir.DataType.INT64,
}
"""Values within the graph that tests look at."""
