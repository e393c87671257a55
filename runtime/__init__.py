"""The NumPy runtime: opens a bundle and runs the mask-predict loop around its graphs.

Needs numpy, onnxruntime, tokenizers and pillow; never torch, transformers, diffusers or onnx; coremltools for Core ML
bundles alone. An engine's library is imported only when a pipeline loads its first graph.
"""

from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.engines import EngineOptions
from amused_edge.runtime.errors import (
    AmusedEdgeError,
    BundleError,
    GenerationError,
    GraphError,
    OptionsError,
    OutputExistsError,
)
from amused_edge.runtime.mask_predict import Step
from amused_edge.runtime.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.pipeline import AmusedPipeline, GenerationResult
from amused_edge.runtime.tasks import TextToImage

__all__ = [
    "AmusedEdgeError",
    "AmusedPipeline",
    "Bundle",
    "BundleError",
    "EngineOptions",
    "GenerationError",
    "GenerationOptions",
    "GenerationResult",
    "GraphError",
    "OptionsError",
    "OutputExistsError",
    "SamplerSettings",
    "Step",
    "TextToImage",
]
