"""The NumPy runtime: opens a bundle and runs the mask-predict loop around its graphs.

Needs numpy, onnxruntime, tokenizers and pillow; never torch, transformers, diffusers or onnx; coremltools for Core ML
bundles alone. An engine's library is imported only when a pipeline loads its first graph.
"""

from amused_edge.runtime.bundle import Bundle
from amused_edge.runtime.cancellation import Cancellation
from amused_edge.runtime.embeddings import PromptEmbeddings
from amused_edge.runtime.engines import CACHE_BYTES, EngineOptions
from amused_edge.runtime.errors import (
    AmusedEdgeError,
    AmusedEdgeWarning,
    BundleError,
    GenerationCancelledError,
    GenerationError,
    GraphError,
    OptionsError,
    OutputExistsError,
    StateError,
)
from amused_edge.runtime.manifest import MicroConditioning
from amused_edge.runtime.mask_predict import Step
from amused_edge.runtime.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.parameters import PictureParameters
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.result import GenerationResult, Picture
from amused_edge.runtime.state import PictureState
from amused_edge.runtime.tasks import Inpainting, TextToImage, Variation, outpainting

__all__ = [
    "CACHE_BYTES",
    "AmusedEdgeError",
    "AmusedEdgeWarning",
    "AmusedPipeline",
    "Bundle",
    "BundleError",
    "Cancellation",
    "EngineOptions",
    "GenerationCancelledError",
    "GenerationError",
    "GenerationOptions",
    "GenerationResult",
    "GraphError",
    "Inpainting",
    "MicroConditioning",
    "OptionsError",
    "OutputExistsError",
    "Picture",
    "PictureParameters",
    "PictureState",
    "PromptEmbeddings",
    "SamplerSettings",
    "StateError",
    "Step",
    "TextToImage",
    "Variation",
    "outpainting",
]
