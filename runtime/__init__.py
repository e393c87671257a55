"""The NumPy runtime: opens a bundle and runs the mask-predict loop around its graphs.

Needs numpy, onnxruntime, tokenizers and pillow; never torch, transformers, diffusers or onnx; coremltools for Core ML
bundles alone, coreai-core for Core AI ones. An engine's library is imported only when a pipeline loads its first graph.
"""

from amused_edge.runtime.bundle.folder import Bundle
from amused_edge.runtime.bundle.manifest import MicroConditioning
from amused_edge.runtime.engines import CACHE_BYTES, EngineOptions
from amused_edge.runtime.engines.cancellation import Cancellation
from amused_edge.runtime.errors import (
    AmusedEdgeError,
    AmusedEdgeWarning,
    BundleError,
    GenerationCancelledError,
    GenerationError,
    GraphError,
    HubError,
    OptionsError,
    OutputExistsError,
    StateError,
)
from amused_edge.runtime.pipeline import AmusedPipeline
from amused_edge.runtime.sampling.mask_predict import Step
from amused_edge.runtime.sampling.options import GenerationOptions, SamplerSettings
from amused_edge.runtime.tasks.clip import Clip
from amused_edge.runtime.tasks.clip_state import ClipState, Frame
from amused_edge.runtime.tasks.embeddings import PromptEmbeddings
from amused_edge.runtime.tasks.kinds import Inpainting, TextToImage, Variation, outpainting
from amused_edge.runtime.tasks.parameters import PictureParameters
from amused_edge.runtime.tasks.result import GenerationResult, Picture
from amused_edge.runtime.tasks.state import PictureState
from amused_edge.runtime.tasks.weights import PromptWeights

__all__ = [
    "CACHE_BYTES",
    "AmusedEdgeError",
    "AmusedEdgeWarning",
    "AmusedPipeline",
    "Bundle",
    "BundleError",
    "Cancellation",
    "Clip",
    "ClipState",
    "EngineOptions",
    "Frame",
    "GenerationCancelledError",
    "GenerationError",
    "GenerationOptions",
    "GenerationResult",
    "GraphError",
    "HubError",
    "Inpainting",
    "MicroConditioning",
    "OptionsError",
    "OutputExistsError",
    "Picture",
    "PictureParameters",
    "PictureState",
    "PromptEmbeddings",
    "PromptWeights",
    "SamplerSettings",
    "StateError",
    "Step",
    "TextToImage",
    "Variation",
    "outpainting",
]
